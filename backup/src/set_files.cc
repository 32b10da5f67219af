#include "set_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "azoth/core/error.h"
#include "block_format.h"
#include "sealed_text.h"

namespace azoth::backup {
namespace {

constexpr std::string_view kSetPurpose = "azoth snapshot set";
constexpr std::string_view kNextPurpose = "azoth next ordinal";
constexpr std::string_view kSetFormat = "azoth snapshot set ";
constexpr std::size_t kMaxSmallFile = 4096;
constexpr std::size_t kOrdinalDigits = 20;
const std::array<std::string, 2> kIdentityNames = {"SET", "SET-copy"};

// A decimal number as it is written: no sign, no leading zero.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || std::to_string(number) != text) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> take_ordinal(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() < prefix.size() + kOrdinalDigits) return std::nullopt;
  const std::string_view digits = name.substr(prefix.size(), kOrdinalDigits);
  name.remove_prefix(prefix.size() + kOrdinalDigits);
  const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  const std::optional<std::uint64_t> ordinal = parse_number(digits.substr(first));
  if (!ordinal || *ordinal > kMaxOrdinal) return std::nullopt;
  return ordinal;
}

std::optional<std::uint64_t> manifest_ordinal(std::string_view name) {
  const std::optional<std::uint64_t> ordinal = take_ordinal(name, "manifest_");
  return name == ".json" ? ordinal : std::nullopt;
}

// The ordinal in the name of a snapshot's file, if it is exactly a name that file_name() gives.
std::optional<std::uint64_t> snapshot_ordinal(std::string_view name) {
  std::string_view rest = name;
  const std::optional<std::uint64_t> ordinal = take_ordinal(rest, "snapshot_");
  if (!ordinal || !rest.ends_with(".azs")) return std::nullopt;
  const std::size_t underscore = rest.rfind('_');
  const std::size_t of = rest.find("-of-");
  if (underscore == std::string_view::npos || of == std::string_view::npos || of <= underscore) return std::nullopt;
  const auto shard = parse_number(rest.substr(underscore + 1, of - underscore - 1));
  const auto shards = parse_number(rest.substr(of + 4, rest.size() - 4 - of - 4));
  if (!shard || !shards || *shards > UINT32_MAX || *shard >= *shards) return std::nullopt;
  for (const SnapshotType type : {SnapshotType::Full, SnapshotType::Diff}) {
    for (const FileKind kind : kFileKinds) {
      const FileIdentity identity{.set_id = {},
                                  .ordinal = *ordinal,
                                  .type = type,
                                  .kind = kind,
                                  .shard = static_cast<std::uint32_t>(*shard),
                                  .shards = static_cast<std::uint32_t>(*shards)};
      if (file_name(identity) == name) return ordinal;
    }
  }
  return std::nullopt;
}

bool is_identity(std::string_view name) {
  return std::find(kIdentityNames.begin(), kIdentityNames.end(), name) != kIdentityNames.end();
}

// NAME.HEX.tmp of write_file_atomically, of a file that sets have.
bool is_temporary(std::string_view name) {
  constexpr std::size_t kSuffix = 1 + 32 + 4;
  if (name.size() <= kSuffix || !name.ends_with(".tmp")) return false;
  const std::string_view base = name.substr(0, name.size() - kSuffix);
  const std::string_view id = name.substr(base.size() + 1, 32);
  return name[base.size()] == '.' && Uuid::parse(id) &&
         (is_identity(base) || base == "next" || manifest_ordinal(base).has_value());
}

std::string identity_text(const SetIdentity& identity) {
  return "{\"format\":\"" + std::string(kSetFormat) + "1\",\n \"set\":\"" + identity.set_id.text() +
         "\",\n \"store\":\"" + identity.store_id.text() + "\",\n \"created\":\"" + format_time(identity.created) +
         "\",\n \"key\":\"" + identity.key_id + "\"}\n";
}

// The text between a member's quotes; empty if there is none. What it finds is right only if the result encodes to the
// same text again.
std::string_view member(std::string_view text, std::string_view name) {
  std::string opening(1, '"');
  opening.append(name).append("\":\"");
  const std::size_t at = text.find(opening);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + opening.size());
  return rest.substr(0, std::min(rest.find('"'), rest.size()));
}

}  // namespace

std::string SetFiles::manifest_name(std::uint64_t ordinal) {
  char name[64];
  std::snprintf(name, sizeof name, "manifest_%020llu.json", static_cast<unsigned long long>(ordinal));
  return name;
}

Found SetFiles::scan() const {
  Found found;
  for (const std::string& name : fs_.list(directory_)) {
    if (const auto ordinal = manifest_ordinal(name)) {
      found.snapshots[*ordinal].manifest = true;
    } else if (const auto of = snapshot_ordinal(name)) {
      found.snapshots[*of].files.push_back(name);
    } else if (is_temporary(name)) {
      found.temporary.push_back(name);
    } else if (!is_identity(name) && name != "lock" && name != "next") {
      found.foreign.push_back(name);
    }
  }
  return found;
}

void SetFiles::write_identity(const SetIdentity& identity, const Key* key) const {
  const std::string content = seal_text(identity_text(identity), kSetPurpose, key);
  write_file_atomically(fs_, path("SET-copy"), content);
  write_file_atomically(fs_, path("SET"), content);
}

SetIdentity SetFiles::read_identity_file(const std::string& name, const Key* key) const {
  const std::string at = path(name).native();
  const std::string content = read_file(fs_, path(name), kMaxSmallFile);
  const SealedText opened = open_sealed_text(content, kSetPurpose, nullptr, at);
  const std::string_view format = member(opened.text, "format");
  if (format.starts_with(kSetFormat) && format != std::string(kSetFormat) + "1") {
    throw Error(ErrorCode::UnsupportedFormat,
                at + " has a format that this program does not know; use the program that wrote it, or a newer one");
  }
  const auto set = Uuid::parse(member(opened.text, "set"));
  const auto store = Uuid::parse(member(opened.text, "store"));
  const auto created = parse_time(member(opened.text, "created"));
  if (!set || !store || !created) throw Error(ErrorCode::Corruption, at + " is damaged: it does not say what it is");
  const SetIdentity identity{*set, *store, *created, std::string(member(opened.text, "key"))};
  const bool encrypted = !identity.key_id.empty();
  if (identity_text(identity) != opened.text || encrypted != opened.has_authenticator) {
    throw Error(ErrorCode::Corruption, at + " is damaged: it is not what a set has there");
  }
  // Another key is the caller's mistake, and no damage: whether it is the right one is for the caller to say.
  if (encrypted && key != nullptr && key->id() == identity.key_id) open_sealed_text(content, kSetPurpose, key, at);
  return identity;
}

SetIdentity SetFiles::read_identity(const Key* key) const {
  const bool first_there = fs_.exists(path(kIdentityNames[0]));
  const bool copy_there = fs_.exists(path(kIdentityNames[1]));
  // The copy alone is a set whose making was not finished, unless there is something in it.
  if (!first_there && (!copy_there || scan().snapshots.empty())) {
    throw Error(ErrorCode::NotFound,
                directory_.native() + " is no snapshot set: it has no file SET; name another directory");
  }
  try {
    return read_identity_file(kIdentityNames[0], key);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::UnsupportedFormat || !copy_there) throw;
  }
  return read_identity_file(kIdentityNames[1], key);
}

bool SetFiles::identity_needs_repair(const SetIdentity& identity, const Key* key) const {
  return std::any_of(kIdentityNames.begin(), kIdentityNames.end(), [&](const std::string& name) {
    try {
      return read_identity_file(name, key) != identity;
    } catch (const Error&) {
      return true;
    }
  });
}

void SetFiles::write_next(std::uint64_t ordinal) const {
  write_file_atomically(fs_, path("next"),
                        seal_text("{\"next\":\"" + std::to_string(ordinal) + "\"}\n", kNextPurpose, nullptr));
}

std::uint64_t SetFiles::read_next() const {
  const std::string at = path("next").native();
  const SealedText opened = open_sealed_text(read_file(fs_, path("next"), kMaxSmallFile), kNextPurpose, nullptr, at);
  const std::optional<std::uint64_t> ordinal = parse_number(member(opened.text, "next"));
  if (!ordinal || *ordinal == 0 || *ordinal > kMaxOrdinal) {
    throw Error(ErrorCode::Corruption, at + " is damaged: it has no ordinal");
  }
  return *ordinal;
}

}  // namespace azoth::backup
