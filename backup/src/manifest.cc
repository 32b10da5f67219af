#include "manifest.h"

#include <array>

#include <nlohmann/json.hpp>

#include "sealed_text.h"

namespace azoth::backup {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPurpose = "azoth snapshot manifest";
constexpr std::string_view kFormat = "azoth snapshot manifest 1";
constexpr int kMaxDepth = 3;
constexpr int kMaxMembers = 64;  // of one object

Json encode_lineage(const Lineage& lineage) {
  Json list = Json::array();
  for (const Timeline& line : lineage) list.push_back({{"timeline", line.id.text()}, {"fork", line.fork}});
  return list;
}

Json encode_files(const Manifest& m) {
  Json list = Json::array();
  for (const ManifestFile& file : m.files) {
    list.push_back({{"name", file.name},
                    {"kind", kind_name(file.kind)},
                    {"shard", file.shard},
                    {"shards", file.shards},
                    {"bytes", file.bytes},
                    {"records", file.records},
                    {"hash", file.hash}});
  }
  return list;
}

Json encode_projections(const Manifest& m) {
  Json list = Json::array();
  for (const ProjectionCursor& projection : m.projections) {
    list.push_back({{"name", projection.name},
                    {"tables", projection.tables},
                    {"cursor", projection.cursor},
                    {"version", projection.version},
                    {"fingerprint", projection.fingerprint}});
  }
  return list;
}

std::string text_of(const Manifest& m) {
  const Json json = {
      {"format", kFormat},
      {"set", m.set_id.text()},
      {"ordinal", m.ordinal},
      {"type", type_name(m.type)},
      {"store", m.store_id.text()},
      {"created", format_time(m.created)},
      {"lineage", encode_lineage(m.lineage)},
      {"base", m.base_ordinal},
      {"base_hash", m.base_hash},
      {"after_commit", m.after_commit},
      {"last_commit", m.last_commit},
      {"after_event", m.after_event},
      {"last_event", m.last_event},
      {"last_event_commit", m.last_event_commit},
      {"earliest", format_time(m.earliest)},
      {"latest", format_time(m.latest)},
      {"taken", format_time(m.taken)},
      {"state_rows", m.state_rows},
      {"commits", m.commits},
      {"operations", m.operations},
      {"state_digest", m.state_digest},
      {"events_digest", m.events_digest},
      {"content_sums", m.content_sums},
      {"sealed", m.sealed},
      {"projections", encode_projections(m)},
      {"library", m.azoth_version},
      {"compression_level", m.compression_level},
      {"key", m.key_id},
      {"files", encode_files(m)},
  };
  return json.dump(1) + "\n";
}

// Reads members by name; the first that is missing or of another type makes it fail. Nothing else has to be refused
// here: what is there beyond makes the text differ from the one that the result encodes to.
class Members {
 public:
  Members(const Json& object, std::string_view name) : object_(object), name_(name) {
    if (!object.is_object()) fail("an object");
  }

  std::uint64_t number(const char* member) const {
    const Json& value = at(member);
    if (!value.is_number_unsigned()) fail(member);
    return value.get<std::uint64_t>();
  }
  template <typename Small>
  Small small_number(const char* member) const {
    const std::uint64_t value = number(member);
    if (value > static_cast<std::uint64_t>(std::numeric_limits<Small>::max())) fail(member);
    return static_cast<Small>(value);
  }
  bool truth(const char* member) const {
    const Json& value = at(member);
    if (!value.is_boolean()) fail(member);
    return value.get<bool>();
  }
  const std::string& text(const char* member) const {
    const Json& value = at(member);
    if (!value.is_string()) fail(member);
    return value.get_ref<const std::string&>();
  }
  Uuid uuid(const char* member) const {
    const std::optional<Uuid> value = Uuid::parse(text(member));
    if (!value) fail(member);
    return *value;
  }
  Timestamp time(const char* member) const {
    const std::optional<Timestamp> value = parse_time(text(member));
    if (!value) fail(member);
    return *value;
  }
  const Json& list(const char* member, std::size_t limit) const {
    const Json& value = at(member);
    if (!value.is_array() || value.size() > limit) fail(member);
    return value;
  }
  [[noreturn]] void fail(const std::string& member) const {
    throw Error(ErrorCode::Corruption,
                std::string(name_) + " is damaged: '" + member + "' is missing or not what a manifest has there");
  }

 private:
  const Json& at(const char* member) const {
    const auto found = object_.find(member);
    if (found == object_.end()) fail(member);
    return *found;
  }

  const Json& object_;
  std::string_view name_;
};

Lineage decode_lineage(const Members& members, std::string_view name) {
  Lineage lineage;
  for (const Json& item : members.list("lineage", kMaxManifestTimelines)) {
    const Members line(item, name);
    lineage.push_back({.id = line.uuid("timeline"), .fork = line.number("fork")});
    if (lineage.size() > 1) lineage[lineage.size() - 2].parent = lineage.back().id;
  }
  return lineage;
}

ManifestFile decode_file(const Members& members) {
  ManifestFile file;
  file.name = members.text("name");
  for (const FileKind kind : kFileKinds) {
    if (members.text("kind") == kind_name(kind)) file.kind = kind;
  }
  if (file.kind == FileKind{}) members.fail("kind");
  file.shard = members.small_number<std::uint32_t>("shard");
  file.shards = members.small_number<std::uint32_t>("shards");
  file.bytes = members.number("bytes");
  file.records = members.number("records");
  file.hash = members.text("hash");
  return file;
}

Manifest decode_members(const Json& json, std::string_view name) {
  const Members members(json, name);
  Manifest m;
  m.set_id = members.uuid("set");
  m.ordinal = members.number("ordinal");
  if (members.text("type") == "full") m.type = SnapshotType::Full;
  if (members.text("type") == "diff") m.type = SnapshotType::Diff;
  if (m.type == SnapshotType{}) members.fail("type");
  m.store_id = members.uuid("store");
  m.created = members.time("created");
  m.lineage = decode_lineage(members, name);
  m.base_ordinal = members.number("base");
  m.base_hash = members.text("base_hash");
  m.after_commit = members.number("after_commit");
  m.last_commit = members.number("last_commit");
  m.after_event = members.number("after_event");
  m.last_event = members.number("last_event");
  m.last_event_commit = members.number("last_event_commit");
  m.earliest = members.time("earliest");
  m.latest = members.time("latest");
  m.taken = members.time("taken");
  m.state_rows = members.number("state_rows");
  m.commits = members.number("commits");
  m.operations = members.number("operations");
  m.state_digest = members.text("state_digest");
  m.events_digest = members.text("events_digest");
  m.content_sums = members.text("content_sums");
  m.sealed = members.truth("sealed");
  m.azoth_version = members.text("library");
  m.compression_level = members.small_number<int>("compression_level");
  m.key_id = members.text("key");
  for (const Json& item : members.list("projections", kMaxManifestProjections)) {
    const Members projection(item, name);
    m.projections.push_back({.name = projection.text("name"),
                             .tables = projection.truth("tables"),
                             .cursor = projection.number("cursor"),
                             .version = projection.number("version"),
                             .fingerprint = projection.text("fingerprint")});
  }
  for (const Json& item : members.list("files", kMaxManifestFiles)) {
    m.files.push_back(decode_file(Members(item, name)));
  }
  return m;
}

Json parse(const std::string& text, std::string_view name) {
  try {
    // Deeper or wider than any manifest: refused before the parser has built it, which looks for each member among all
    // that the object has.
    std::array<int, kMaxDepth + 2> members{};  // of the object at each depth
    const auto small = [&](int depth, Json::parse_event_t event, Json&) {
      const auto refuse = [&](const char* what) {
        throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: it is " + what + " than a manifest");
      };
      if (depth > kMaxDepth) refuse("nested more deeply");
      int& count = members[static_cast<std::size_t>(depth)];
      if (event == Json::parse_event_t::object_start) members[static_cast<std::size_t>(depth) + 1] = 0;
      if (event == Json::parse_event_t::key && ++count > kMaxMembers) refuse("wider");
      return true;
    };
    return Json::parse(text, small);
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: it is not JSON");
  }
}

void check_format(const Json& json, std::string_view name) {
  const Members members(json, name);
  const std::string& format = members.text("format");
  if (format == kFormat) return;
  constexpr std::string_view kFamily = "azoth snapshot manifest ";
  if (!format.starts_with(kFamily)) members.fail("format");
  throw Error(ErrorCode::UnsupportedFormat, std::string(name) + " has a format that this program does not know; " +
                                                "use the program that wrote it, or a newer one");
}

}  // namespace

std::string encode_manifest(const Manifest& manifest, const Key* key) {
  if (const std::string why = check_manifest(manifest); !why.empty()) {
    throw Error(ErrorCode::InvalidArgument, "this is no manifest of a snapshot: " + why);
  }
  std::string sealed = seal_text(text_of(manifest), kPurpose, key);
  if (sealed.size() > kMaxManifestBytes) {
    throw Error(ErrorCode::InvalidArgument, "the manifest of the snapshot would be larger than " +
                                                std::to_string(kMaxManifestBytes) + " bytes; use fewer shards");
  }
  return sealed;
}

ReadManifest decode_manifest(std::string_view bytes, const Key* key, std::string_view name) {
  if (bytes.size() > kMaxManifestBytes) {
    throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: it is larger than any manifest");
  }
  SealedText opened = open_sealed_text(bytes, kPurpose, key, name);
  const Json json = parse(opened.text, name);
  check_format(json, name);
  ReadManifest read{.manifest = decode_members(json, name), .hash = std::move(opened.hash)};
  if (const std::string why = check_manifest(read.manifest); !why.empty()) {
    throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: " + why);
  }
  if (text_of(read.manifest) != opened.text) {
    throw Error(ErrorCode::Corruption,
                std::string(name) + " is damaged: it has members that no manifest has, or in another way");
  }
  if (read.manifest.key_id.empty() == opened.has_authenticator) {
    throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: its authenticator and its key do not fit");
  }
  if (key != nullptr && read.manifest.key_id != key->id()) {
    throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: it names another key than it was made with");
  }
  read.authenticated = key != nullptr;
  return read;
}

std::string content_digest(const std::string& digest, const Key* key) {
  return key == nullptr || digest.empty() ? digest : authenticator_hex(*key, "azoth backup content", digest);
}

}  // namespace azoth::backup
