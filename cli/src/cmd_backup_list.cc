#include <fmt/format.h>

#include <algorithm>

#include "backup_text.h"
#include "commands.h"
#include "links.h"
#include "table.h"
#include "text.h"

namespace azoth::cli {
namespace {

using backup::Chain;
using backup::Key;
using backup::Manifest;
using backup::RestoreTarget;
using backup::SnapshotInfo;
using backup::SnapshotSet;
using backup::SnapshotState;
using backup::SnapshotType;

struct Point {
  CommitSeq commit = 0;
  EventId event = 0;
  std::optional<Timestamp> time;
};

// What lies between these two can be restored.
struct Restorable {
  std::optional<Point> earliest;
  std::optional<Point> newest;
  std::optional<std::string> problem;  // why it is less than the set should have, or is not known
};

Point end_of(const Manifest& m) {
  return {m.last_commit, m.last_event, m.last_commit > 0 ? std::optional(m.latest) : std::nullopt};
}

// A full's own end can be restored whatever else is lost.
std::optional<Point> earliest_of(const std::vector<SnapshotInfo>& all, const Lineage& lineage) {
  const Manifest* earliest = nullptr;
  for (const SnapshotInfo& info : all) {
    if (info.state != SnapshotState::Whole || info.manifest->type != SnapshotType::Full) continue;
    const Manifest& m = *info.manifest;
    const std::optional<CommitSeq> shared = shared_through(lineage, m.timeline());
    if (!shared || m.last_commit > *shared) continue;  // of a history that was cut off
    if (earliest == nullptr || m.last_commit < earliest->last_commit) earliest = &m;
  }
  return earliest == nullptr ? std::nullopt : std::optional(end_of(*earliest));
}

// The furthest that a chain leads to when a broken snapshot is in the way to the newest commit.
std::optional<Manifest> furthest_of(const SnapshotSet& set, const std::vector<SnapshotInfo>& all) {
  std::vector<CommitSeq> ends;
  for (const SnapshotInfo& info : all) {
    if (info.state == SnapshotState::Whole) ends.push_back(info.manifest->last_commit);
  }
  std::sort(ends.begin(), ends.end(), std::greater<>());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  for (CommitSeq end : ends) {
    try {
      return set.chain(RestoreTarget::commit(end), all).snapshots.back();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
    }
  }
  return std::nullopt;
}

Restorable restorable(const SnapshotSet& set, const std::vector<SnapshotInfo>& all, bool has_key) {
  Restorable result;
  if (!set.key_id().empty() && !has_key) {
    result.problem = "the set is encrypted: what can be restored is said with --key-file";
    return result;
  }
  std::optional<Manifest> newest;
  try {
    newest = set.chain(RestoreTarget::newest(), all).snapshots.back();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
    result.problem = error.what();
    newest = furthest_of(set, all);
  }
  if (!newest) return result;
  result.newest = end_of(*newest);
  result.earliest = earliest_of(all, newest->lineage);
  return result;
}

std::string point_json(const std::optional<Point>& point) {
  if (!point) return "null";
  JsonObject object;
  object.number("commit", point->commit).number("event", point->event);
  if (point->time) {
    object.text("time", format_time(*point->time));
  } else {
    object.null("time");
  }
  return object.finish();
}

void print_json(Context& context, const SnapshotSet& set, const std::vector<SnapshotInfo>& all,
                const Restorable& range) {
  for (const SnapshotInfo& info : all) {
    JsonObject object;
    add_snapshot(object, info);
    context.out.json(object.finish());
  }
  JsonObject object;
  object.text("set_id", set.id().text()).text("store_id", set.store_id().text());
  if (set.key_id().empty()) {
    object.null("key_id");
  } else {
    object.text("key_id", terminal_safe(set.key_id()));
  }
  object.raw("earliest", point_json(range.earliest)).raw("newest", point_json(range.newest));
  if (range.problem) {
    object.text("problem", terminal_safe(*range.problem));
  } else {
    object.null("problem");
  }
  context.out.json(JsonObject().raw("restorable", object.finish()).finish());
}

// "1,221 to 1,300"; of a full what it ends with: "to 1,220".
std::string range_text(std::uint64_t after, std::uint64_t last, bool full) {
  if (full) return "to " + grouped(last);
  if (after == last) return "none";
  return after + 1 == last ? grouped(last) : fmt::format("{} to {}", grouped(after + 1), grouped(last));
}

std::vector<Table::Cell> row_of(const SnapshotInfo& info) {
  const std::string state(state_name(info.state));
  if (!info.manifest) {
    return {{std::to_string(info.ordinal), true}, {"-"}, {state}, {"-"}, {"-"}, {"-"}, {"-"}, {"-"}, {"-"}, {"-"}};
  }
  const Manifest& m = *info.manifest;
  const bool full = m.type == SnapshotType::Full;
  return {{std::to_string(info.ordinal), true},
          {std::string(backup::type_name(m.type))},
          {state},
          {format_time(m.taken)},
          {range_text(m.after_commit, m.last_commit, full)},
          {range_text(m.after_event, m.last_event, full)},
          {human_bytes(bytes_of(m)), true},
          {full ? "-" : std::to_string(m.base_ordinal)},
          {m.sealed ? "yes" : "no"},
          {m.key_id.empty() ? "no" : "yes"}};
}

void print_range(Context& context, const Restorable& range) {
  Output& out = context.out;
  if (range.newest) {
    const Point& newest = *range.newest;
    if (range.earliest) {
      const Point& earliest = *range.earliest;
      out.line("earliest that can be restored: " + point_text(earliest.commit, earliest.event, earliest.time));
    }
    out.line("newest that can be restored:   " + point_text(newest.commit, newest.event, newest.time));
  }
  if (range.problem) out.line("note: " + terminal_safe(*range.problem));
}

void print_text(Context& context, const SnapshotSet& set, const std::vector<SnapshotInfo>& all,
                const Restorable& range) {
  Table table(context.out,
              {"ordinal", "type", "state", "taken", "commits", "events", "size", "base", "sealed", "encrypted"});
  for (const SnapshotInfo& info : all) table.add(row_of(info));
  table.finish();
  for (const SnapshotInfo& info : all) {
    if (info.why.empty()) continue;
    context.out.line(
        terminal_safe(fmt::format("snapshot {} is {}: {}", info.ordinal, state_name(info.state), info.why)));
  }
  context.out.line(fmt::format("set {} of store {}{}", set.id().text(), set.store_id().text(),
                               set.key_id().empty() ? "" : ", encrypted with key " + terminal_safe(set.key_id())));
  print_range(context, range);
}

}  // namespace

Exit run_backup_list(Context& context, const BackupListArgs& args) {
  send_log_to_stderr(context);
  const std::optional<Key> key = load_key(args.key_file);
  const SnapshotSet set = SnapshotSet::open(followed(args.directory), {.key = key_or_null(key), .read_only = true});
  const std::vector<SnapshotInfo> all = set.list();
  const Restorable range = restorable(set, all, key.has_value());
  if (context.json()) {
    print_json(context, set, all, range);
  } else {
    print_text(context, set, all, range);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
