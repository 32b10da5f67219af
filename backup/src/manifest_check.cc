#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "azoth/projection/projection.h"
#include "manifest.h"

namespace azoth::backup {
namespace {

constexpr std::uint64_t kMaxNumber = std::numeric_limits<std::int64_t>::max();

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_plain_text(std::string_view text) {
  return text.size() <= kMaxManifestNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string check_identity(const Manifest& m) {
  if (m.ordinal == 0 || m.ordinal > kMaxNumber) return "ordinals begin with 1";
  if (m.type != SnapshotType::Full && m.type != SnapshotType::Diff) return "it is neither full nor diff";
  if (m.lineage.empty()) return "it names no timeline";
  if (m.lineage.size() > kMaxManifestTimelines) return "it names too many timelines";
  for (std::size_t i = 0; i < m.lineage.size(); ++i) {
    const bool last = i + 1 == m.lineage.size();
    if (m.lineage[i].parent != (last ? Uuid{} : m.lineage[i + 1].id)) return "its lineage is not a chain";
    if (last && m.lineage[i].fork != 0) return "its first timeline has a fork";
  }
  return "";
}

std::string check_ranges(const Manifest& m) {
  for (const std::uint64_t number : {m.after_commit, m.last_commit, m.after_event, m.last_event, m.last_event_commit,
                                     m.state_rows, m.commits, m.operations, m.base_ordinal}) {
    if (number > kMaxNumber) return "a number is too large";
  }
  if (m.after_event > m.last_event) return "its range of events ends before it begins";
  if (m.last_event_commit > m.last_commit) return "its last event is from a commit behind its last one";
  if ((m.last_event == 0) != (m.last_event_commit == 0)) return "its last event and that event's commit do not fit";
  if (m.type == SnapshotType::Full) {
    if (m.after_commit != 0 || m.after_event != 0) return "a full snapshot begins with the first commit";
    if (m.base_ordinal != 0 || !m.base_hash.empty()) return "a full snapshot has no base";
    if (m.commits != 0 || m.operations != 0) return "a full snapshot counts no commits";
    return "";
  }
  if (m.after_commit >= m.last_commit) return "a diff has at least one commit";
  if (m.base_ordinal == 0 || m.base_ordinal >= m.ordinal) return "a diff has a base of a lower ordinal";
  if (!is_hex(m.base_hash, 64)) return "the hash of its base is not a hash";
  if (m.commits != m.last_commit - m.after_commit) return "its number of commits does not fit its range";
  if (m.earliest > m.latest) return "its range of times ends before it begins";
  return "";
}

std::string check_details(const Manifest& m) {
  if (!is_plain_text(m.azoth_version)) return "the library's version is not plain text";
  if (m.compression_level < 0 || m.compression_level > 19) return "there is no such compression level";
  if (!m.key_id.empty() && !is_hex(m.key_id, 16)) return "the key's id is not an id";
  for (const std::string& digest : {m.state_digest, m.events_digest}) {
    if (!digest.empty() && !is_hex(digest, 64)) return "a digest of its content is not a digest";
  }
  if (m.projections.size() > kMaxManifestProjections) return "it names too many projections";
  std::set<std::string> names;
  for (const ProjectionCursor& projection : m.projections) {
    if (!Projection::is_name(projection.name)) return "a projection has a name that none can have";
    if (!is_plain_text(projection.fingerprint)) return "a projection's fingerprint is not plain text";
    if (!names.insert(projection.name).second) return "it names a projection twice";
    if (projection.cursor > m.last_event) return "a projection's cursor lies behind the last event";
    if (projection.version > kMaxNumber) return "a number is too large";
    const bool says_nothing = projection.cursor == 0 && projection.version == 0 && projection.fingerprint.empty();
    if (!projection.tables && !says_nothing) return "a projection without tables has a cursor";
  }
  const bool sums = is_hex(m.content_sums, 32) || is_hex(m.content_sums, 64);  // as they are, or derived by a key
  if (!sums && !m.content_sums.empty()) return "the sums of its content are none";
  for (const Timestamp time : {m.created, m.earliest, m.latest, m.taken}) {
    if (parse_time(format_time(time)) != time) return "a time cannot be written";
  }
  return "";
}

std::string check_file(const Manifest& m, const ManifestFile& file) {
  if (!plain_file_name(file.name)) return "a file's name is not a plain file name";
  const bool of_diff = file.kind == FileKind::Commits;
  if (of_diff != (m.type == SnapshotType::Diff)) return "a file's kind does not fit the snapshot's type";
  if (file.shards == 0 || file.shard >= file.shards || file.shards > kMaxManifestFiles) {
    return "there is no shard of such a number";
  }
  if (file.name != file_name(identity_of(m, file))) return "a file's name is not the one that its place demands";
  if (file.bytes > kMaxNumber || file.records > kMaxNumber) return "a number is too large";
  if (file.bytes < block_format::kFileHeaderBytes) return "a file is shorter than its header";
  if (!is_hex(file.hash, 64)) return "a file's hash is not a hash";
  return "";
}

std::string check_files(const Manifest& m) {
  if (m.files.empty()) return "it names no file";
  if (m.files.size() > kMaxManifestFiles) return "it names too many files";
  std::set<std::string> names;
  std::map<FileKind, std::pair<std::uint32_t, std::uint32_t>> shards;  // how many there are, and are to be
  std::uint64_t bytes = 0;
  for (const ManifestFile& file : m.files) {
    if (std::string why = check_file(m, file); !why.empty()) return why;
    if (!names.insert(file.name).second) return "it names a file twice";
    const auto at = shards.try_emplace(file.kind, 0, file.shards).first;
    if (at->second.second != file.shards) return "its files do not agree how many shards there are";
    ++at->second.first;
    bytes += file.bytes;
    if (bytes > kMaxNumber) return "its files are too large";
  }
  for (const auto& [kind, counts] : shards) {
    if (counts.first != counts.second) return "it does not name every shard";
    if (kind == FileKind::Projections && counts.second != m.projections.size()) {
      return "it has not one file for each projection";
    }
  }
  if (!std::is_sorted(m.files.begin(), m.files.end(), [](const ManifestFile& a, const ManifestFile& b) {
        return std::pair(a.kind, a.shard) < std::pair(b.kind, b.shard);
      })) {
    return "its files are not in order";
  }
  return "";
}

}  // namespace

bool plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxManifestNameBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != '\\'; });
}

FileIdentity identity_of(const Manifest& manifest, const ManifestFile& file) {
  return {.set_id = manifest.set_id,
          .ordinal = manifest.ordinal,
          .type = manifest.type,
          .kind = file.kind,
          .shard = file.shard,
          .shards = file.shards};
}

std::string check_manifest(const Manifest& manifest) {
  for (auto* check : {&check_identity, &check_ranges, &check_details, &check_files}) {
    if (std::string why = (*check)(manifest); !why.empty()) return why;
  }
  return "";
}

}  // namespace azoth::backup
