#include "backup_text.h"

#include <fmt/format.h>

#include "text.h"

namespace azoth::cli {
namespace {

using backup::Manifest;
using backup::ManifestFile;
using backup::ProjectionCursor;
using backup::SnapshotInfo;
using backup::SnapshotType;

template <class Items, class Write>
std::string json_list(const Items& items, Write write) {
  std::string list = "[";
  for (const auto& item : items) {
    if (list.size() > 1) list += ',';
    list += write(item);
  }
  return list + ']';
}

std::string file_json(const ManifestFile& file) {
  return JsonObject()
      .text("name", terminal_safe(file.name))
      .text("kind", backup::kind_name(file.kind))
      .number("shard", file.shard)
      .number("shards", file.shards)
      .number("records", file.records)
      .number("bytes", file.bytes)
      .text("hash", terminal_safe(file.hash))
      .finish();
}

std::string projection_cursor_json(const ProjectionCursor& projection) {
  JsonObject object;
  object.text("name", terminal_safe(projection.name)).boolean("tables", projection.tables);
  if (projection.tables) {
    object.number("cursor", projection.cursor)
        .number("version", projection.version)
        .text("fingerprint", terminal_safe(projection.fingerprint));
  } else {
    object.null("cursor").null("version").null("fingerprint");
  }
  return object.finish();
}

std::string timeline_json(const Timeline& timeline) {
  JsonObject object;
  object.text("timeline", timeline.id.text());
  if (timeline.parent == Uuid{}) {
    object.null("parent").null("fork");
  } else {
    object.text("parent", timeline.parent.text()).number("fork", timeline.fork);
  }
  return object.finish();
}

void add_text_or_null(JsonObject& object, std::string_view name, const std::string& text) {
  if (text.empty()) {
    object.null(name);
  } else {
    object.text(name, terminal_safe(text));
  }
}

void add_reach(JsonObject& object, const Manifest& m) {
  const bool diff = m.type == SnapshotType::Diff;
  object.number("after_commit", m.after_commit)
      .number("last_commit", m.last_commit)
      .number("after_event", m.after_event)
      .number("last_event", m.last_event);
  if (diff) {
    object.text("earliest", format_time(m.earliest));
  } else {
    object.null("earliest");
  }
  if (m.last_commit > 0) {
    object.text("latest", format_time(m.latest));
  } else {
    object.null("latest");
  }
}

void add_content(JsonObject& object, const Manifest& m) {
  object.number("state_keys", m.state_rows)
      .number("events", events_of(m))
      .number("commits", m.commits)
      .number("operations", m.operations);
  add_text_or_null(object, "state_digest", m.state_digest);
  add_text_or_null(object, "events_digest", m.events_digest);
  add_text_or_null(object, "content_sums", m.content_sums);
}

void add_manifest(JsonObject& object, const Manifest& m) {
  object.text("set_id", m.set_id.text())
      .text("store_id", m.store_id.text())
      .text("created", format_time(m.created))
      .text("timeline", m.timeline().text())
      .raw("lineage", json_list(m.lineage, timeline_json))
      .text("type", backup::type_name(m.type))
      .number_or_null("base", m.base_ordinal)
      .text("taken", format_time(m.taken))
      .boolean("sealed", m.sealed)
      .boolean("encrypted", !m.key_id.empty());
  add_text_or_null(object, "key_id", m.key_id);
  object.number("compression_level", static_cast<std::uint64_t>(m.compression_level));
  add_reach(object, m);
  add_content(object, m);
  object.number("bytes", bytes_of(m))
      .raw("files", json_list(m.files, file_json))
      .raw("projections", json_list(m.projections, projection_cursor_json))
      .text("azoth_version", terminal_safe(m.azoth_version));
}

std::string range_text(std::string_view what, std::uint64_t after, std::uint64_t last) {
  if (last == after) return fmt::format("no {}s", what);
  if (last == after + 1) return fmt::format("{} {}", what, grouped(last));
  return fmt::format("{}s {} to {}", what, grouped(after + 1), grouped(last));
}

}  // namespace

std::optional<backup::Key> load_key(const std::optional<std::string>& file) {
  if (!file) return std::nullopt;
  return backup::load_key_file(*file);
}

StepLine::StepLine(std::string interrupted) : interrupted_(std::move(interrupted)) {
  block_signals();
  interruption_ = std::make_unique<Interruption>(-1, [] {});
}

backup::StepProgress StepLine::callback() {
  return [this](const backup::Step& step) { update(step); };
}

void StepLine::update(const backup::Step& step) {
  if (interruption_->happened()) throw Error(ErrorCode::Cancelled, interrupted_);
  if (!progress_ || what_ != step.what) {
    progress_.reset();  // takes the line of the step before away
    what_ = step.what;
    progress_ = std::make_unique<Progress>(std::string(step.unit), what_ + ": ");
  }
  progress_->update({.items = step.done, .done = step.done, .total = step.total});
}

std::string_view state_name(backup::SnapshotState state) {
  using enum backup::SnapshotState;
  return state == Whole ? "whole" : state == Broken ? "broken" : "unfinished";
}

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.files) bytes += file.bytes;
  return bytes;
}

std::uint64_t events_of(const Manifest& manifest) { return manifest.last_event - manifest.after_event; }

std::string content_text(const Manifest& manifest) {
  if (manifest.type == SnapshotType::Diff) {
    return fmt::format("{}, {}", range_text("commit", manifest.after_commit, manifest.last_commit),
                       range_text("event", manifest.after_event, manifest.last_event));
  }
  return fmt::format("through commit {} and event {}", grouped(manifest.last_commit), grouped(manifest.last_event));
}

std::string point_text(CommitSeq commit, EventId event, const std::optional<Timestamp>& time) {
  std::string text = fmt::format("commit {}, event {}", grouped(commit), grouped(event));
  if (time) text += fmt::format(" ({})", format_time(*time));
  return text;
}

void add_snapshot(JsonObject& object, const SnapshotInfo& info) {
  object.number("ordinal", info.ordinal).text("state", state_name(info.state));
  add_text_or_null(object, "why", info.why);
  if (!info.manifest) return;
  object.boolean("authenticated", info.authenticated);
  add_text_or_null(object, "manifest_hash", info.manifest_hash);
  add_manifest(object, *info.manifest);
}

std::string retained_json(const RetainedSet& set) {
  return JsonObject()
      .text("set_id", set.set_id.text())
      .text("timeline", set.timeline.text())
      .number("commit", set.commit)
      .number("limit_bytes", set.limit_bytes)
      .bytes("place", set.place)
      .finish();
}

std::string retained_text(const RetainedSet& set) {
  return fmt::format("has everything through commit {}; up to {} of journal are kept for it; it was in {}",
                     grouped(set.commit), human_bytes(set.limit_bytes), escaped(set.place));
}

std::string json_numbers(const std::vector<std::uint64_t>& numbers) {
  return json_list(numbers, [](std::uint64_t number) { return std::to_string(number); });
}

std::string numbers_text(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (std::uint64_t number : numbers) {
    if (!text.empty()) text += ", ";
    text += std::to_string(number);
  }
  return text;
}

}  // namespace azoth::cli
