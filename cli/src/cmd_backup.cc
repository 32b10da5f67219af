#include <fmt/format.h>

#include <algorithm>

#include "backup_text.h"
#include "commands.h"
#include "links.h"
#include "text.h"

namespace azoth::cli {
namespace {

using backup::BackupOptions;
using backup::BackupReport;
using backup::Key;
using backup::Manifest;
using backup::PurgeReport;
using backup::SealMode;
using backup::SnapshotSet;
using backup::SnapshotType;

// The key id of a set, empty if it is not encrypted; nothing if there is no set.
std::optional<std::string> key_of_set(const std::string& directory) {
  try {
    return SnapshotSet::open(followed(directory), {.read_only = true}).key_id();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
    return std::nullopt;
  }
}

// A new set is encrypted only if that was asked for, and a set that should be encrypted is never found not to be.
void require_right_key(const BackupCreateArgs& args) {
  if (args.encrypt && !args.key_file) {
    throw UsageError("--encrypt needs a key: --key-file FILE; make one with: azoth keygen FILE");
  }
  if (!args.key_file) return;
  const std::optional<std::string> key = key_of_set(args.directory);
  if (!key && !args.encrypt) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("there is no snapshot set in {} yet; give --encrypt, too, to make an encrypted one, or "
                            "leave out --key-file",
                            args.directory));
  }
  if (key && key->empty()) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("the snapshot set in {} is not encrypted, and cannot become so; leave out {}--key-file, or "
                            "name a new directory for an encrypted set",
                            args.directory, args.encrypt ? "--encrypt and " : ""));
  }
}

SealMode seal_mode(const BackupCreateArgs& args) {
  return args.seal_store ? SealMode::Store : args.sealed ? SealMode::Snapshot : SealMode::None;
}

Db open_for(Context& context, const BackupCreateArgs& args) {
  return seal_mode(args) == SealMode::None ? open_store_for_reading(context) : open_store(context);
}

// False also if that cannot be told now.
bool is_sealed(const Db& db) {
  try {
    return db.meta().sealed_event.has_value();
  } catch (const Error&) {
    return false;
  }
}

// The store is sealed before anything is written, and stays so when that fails.
BackupReport back_up(const Context& context, Db& db, const BackupCreateArgs& args, const BackupOptions& options) {
  if (!args.seal_store) return db.backup(followed(args.directory), options);
  const bool sealed_before = db.meta().sealed_event.has_value();
  try {
    return db.backup(followed(args.directory), options);
  } catch (const Error& error) {
    if (sealed_before || !is_sealed(db)) throw;
    throw Error(error.code(), fmt::format("{}; the store is sealed now: azoth --db {} unseal", error.what(),
                                          context.globals.directory.string()));
  }
}

std::string created_json(const BackupCreateArgs& args, const BackupReport& report, double seconds) {
  JsonObject object;
  object.bytes("directory", args.directory).boolean("made_set", report.made_set);
  add_snapshot(object, report.snapshot);
  return object.decimal("seconds", seconds).raw("notes", json_strings(safe_texts(report.notes))).finish();
}

std::string kind_text(const Manifest& m) {
  return m.type == SnapshotType::Full ? "full" : fmt::format("incremental, on snapshot {}", m.base_ordinal);
}

std::string count_text(const Manifest& m) {
  if (m.type == SnapshotType::Full) {
    return fmt::format("{} keys, {} events", grouped(m.state_rows), grouped(events_of(m)));
  }
  return fmt::format("{} commits, {} operations, {} events", grouped(m.commits), grouped(m.operations),
                     grouped(events_of(m)));
}

void print_created(Context& context, const BackupCreateArgs& args, const BackupReport& report, double seconds) {
  Output& out = context.out;
  const Manifest& m = report.snapshot.manifest.value();
  const std::string directory = escaped(args.directory);
  if (report.made_set) {
    out.line(fmt::format("made the {}snapshot set {}", m.key_id.empty() ? "" : "encrypted ", directory));
  }
  out.line(fmt::format("snapshot {} ({}) in {}: {}{}", m.ordinal, kind_text(m), directory, content_text(m),
                       m.sealed ? ", sealed" : ""));
  const std::uint64_t bytes = bytes_of(m);
  const double rate = static_cast<double>(bytes) / std::max(seconds, 1e-3);
  out.line(fmt::format("{}; {} in {} files, {:.2f} s, {}/s", count_text(m), human_bytes(bytes), m.files.size(), seconds,
                       human_bytes(static_cast<std::uint64_t>(rate))));
  for (const std::string& note : report.notes) out.line("note: " + terminal_safe(note));
}

void print_purged(Context& context, const PurgeReport& report) {
  Output& out = context.out;
  if (context.json()) {
    JsonObject object;
    object.raw("removed", json_numbers(report.removed)).raw("remains", json_numbers(report.remains));
    report.note.empty() ? object.null("note") : object.text("note", terminal_safe(report.note));
    return out.json(object.finish());
  }
  if (!report.removed.empty()) out.line(fmt::format("removed: {}", numbers_text(report.removed)));
  if (!report.remains.empty()) out.line(fmt::format("remains removed: {}", numbers_text(report.remains)));
  if (report.removed.empty() && report.remains.empty()) out.line("nothing was to be removed");
  if (!report.note.empty()) out.line("note: " + terminal_safe(report.note));
}

}  // namespace

Exit run_backup_create(Context& context, const BackupCreateArgs& args) {
  require_right_key(args);
  require_outside_of_store(context, followed(args.directory), "the snapshot set");
  const std::optional<Key> key = load_key(args.key_file);
  StepLine line("interrupted; no snapshot was added");
  Db db = open_for(context, args);
  const auto start = std::chrono::steady_clock::now();
  const BackupReport report = back_up(context, db, args,
                                      {.incremental = args.incremental,
                                       .seal = seal_mode(args),
                                       .projections = !args.no_projections,
                                       .compression_level = args.level,
                                       .shards = args.shards,
                                       .threads = args.threads,
                                       .key = key_or_null(key),
                                       .retain_bytes = args.retain_bytes,
                                       .progress = line.callback()});
  line.clear();
  context.done = fmt::format("snapshot {} was made", report.snapshot.ordinal);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (context.json()) {
    context.out.json(created_json(args, report, seconds));
  } else {
    print_created(context, args, report, seconds);
  }
  db.close();
  return Exit::Ok;
}

Exit run_backup_prune(Context& context, const BackupPruneArgs& args) {
  send_log_to_stderr(context);
  const std::optional<Key> key = load_key(args.key_file);
  SnapshotSet set = SnapshotSet::open(followed(args.directory), {.key = key_or_null(key)});
  print_purged(context, set.purge(args.keep));
  return Exit::Ok;
}

Exit run_backup_repair(Context& context, const BackupRepairArgs& args) {
  send_log_to_stderr(context);
  const std::optional<Key> key = load_key(args.key_file);
  SnapshotSet set = SnapshotSet::open(followed(args.directory), {.key = key_or_null(key)});
  print_purged(context, set.repair(args.remove_broken));
  return Exit::Ok;
}

}  // namespace azoth::cli
