#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "projection_run.h"
#include "table.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::string letter_json(const std::string& name, const DeadLetter& letter, bool whole) {
  const EventView event = letter.event();
  std::string type;
  append_json_text(type, event.type());
  JsonObject object;
  object.text("projection", name)
      .number("event", letter.event_id)
      .raw("type", type)
      .number("attempts", letter.attempts)
      .text("error", terminal_safe(letter.error))
      .text("first_failed", format_time(letter.first_failed))
      .text("last_failed", format_time(letter.last_failed));
  if (whole) object.raw("content", event_json(event));
  return object.finish();
}

std::string payload_line(const EventView& event) {
  return is_utf8(event.payload()) ? escaped(event.payload()) : "hex:" + to_hex(event.payload());
}

void print_letter(Context& context, const std::string& name, const DeadLetter& letter) {
  const EventView event = letter.event();
  auto row = [&](std::string_view what, const std::string& text) {
    context.out.line(fmt::format("{:<12} {}", what, text));
  };
  std::string tags;
  for (std::string_view tag : event.tags()) {
    if (!tags.empty()) tags += ',';
    tags += escaped(tag);
  }
  row("projection", name);
  row("event", fmt::format("{} of commit {}", letter.event_id, letter.commit_seq));
  row("type", escaped(event.type()));
  row("time", format_time(event.time()));
  row("tags", tags.empty() ? "none" : tags);
  row("payload", payload_line(event));
  row("error", escaped(letter.error));
  row("attempts", fmt::format("{}, the first {}, the last {}", letter.attempts, format_time(letter.first_failed),
                              format_time(letter.last_failed)));
}

// Of a projection that exists; none if it was never run.
std::vector<DeadLetter> letters_of(Db& db, const std::string& name) {
  for (const ProjectionInfo& info : db.projections().inspect()) {
    if (info.name != name) continue;
    if (info.generation == 0 && !info.problem) return {};
    return read_dead_letters(db.directory(), name);
  }
  throw Error(ErrorCode::NotFound, no_projection(name));
}

Error no_letter(const std::string& name, EventId event) {
  return {ErrorCode::NotFound, fmt::format("{0} has no dead letter of event {1}; azoth dlq list {0}", name, event)};
}

std::vector<EventId> chosen_events(Db& db, const DlqChooseArgs& args) {
  if (!args.all && args.events.empty()) throw UsageError("name the events, or give --all");
  const std::vector<DeadLetter> letters = letters_of(db, args.name);
  std::vector<EventId> events;
  for (const DeadLetter& letter : letters) events.push_back(letter.event_id);
  if (args.all) return events;
  for (EventId event : args.events) {
    if (std::find(events.begin(), events.end(), event) == events.end()) throw no_letter(args.name, event);
  }
  events = args.events;
  std::sort(events.begin(), events.end());
  events.erase(std::unique(events.begin(), events.end()), events.end());
  return events;
}

std::string error_of(Projector& projector, const std::string& name, EventId event) {
  for (const DeadLetter& letter : projector.dead_letters(name)) {
    if (letter.event_id == event) return letter.error;
  }
  return "";
}

bool retry(Context& context, Projector& projector, const std::string& name, EventId event) {
  const bool applied = projector.retry_dead_letter(name, event);
  const std::string error = applied ? "" : error_of(projector, name, event);
  if (context.json()) {
    JsonObject object;
    object.text("projection", name).number("event", event).boolean("applied", applied);
    applied ? object.null("error") : object.text("error", terminal_safe(error));
    context.out.json(object.finish());
  } else {
    context.out.line(applied ? fmt::format("event {}: applied", event)
                             : fmt::format("event {}: failed again: {}", event, escaped(error)));
  }
  return applied;
}

}  // namespace

Exit run_dlq_list(Context& context, const DlqListArgs& args) {
  Db db = open_store_for_reading(context);
  std::vector<std::string> names = args.names;
  if (names.empty()) {
    for (const ProjectionInfo& info : db.projections().inspect()) {
      if (info.generation != 0) names.push_back(info.name);
    }
  }
  Table table(context.out, {"projection", "event", "type", "attempts", "last failed", "error"});
  bool found = false;
  for (const std::string& name : names) {
    for (const DeadLetter& letter : letters_of(db, name)) {
      if (context.json()) {
        context.out.json(letter_json(name, letter, false));
        continue;
      }
      found = true;
      table.add({{name},
                 {std::to_string(letter.event_id), true},
                 {escaped(letter.event().type())},
                 {grouped(letter.attempts), true},
                 {format_time(letter.last_failed)},
                 {escaped(letter.error)}});
    }
  }
  if (context.json()) return Exit::Ok;
  if (found) {
    table.finish();
  } else {
    write_message("azoth: there are no dead letters");
  }
  return Exit::Ok;
}

Exit run_dlq_show(Context& context, const DlqShowArgs& args) {
  Db db = open_store_for_reading(context);
  for (const DeadLetter& letter : letters_of(db, args.name)) {
    if (letter.event_id != args.event) continue;
    if (context.json()) {
      context.out.json(letter_json(args.name, letter, true));
    } else {
      print_letter(context, args.name, letter);
    }
    return Exit::Ok;
  }
  throw no_letter(args.name, args.event);
}

Exit run_dlq_retry(Context& context, const DlqChooseArgs& args) {
  Db db = open_store_for_reading(context);
  const std::vector<EventId> events = chosen_events(db, args);
  if (events.empty()) return Exit::Ok;
  Projection projection = load_projection(db, args.name);
  for (const ProjectionInfo& info : db.projections().inspect()) {
    if (info.name != args.name || (!info.rebuild && !info.problem)) continue;
    report(context, "rebuild_needed",
           fmt::format("{0} is to be built anew ({1}), which applies all its events again: azoth projection run {0}",
                       args.name, info.rebuild ? *info.rebuild : *info.problem));
    return Exit::Refused;
  }
  db.projections().add(std::move(projection));
  Exit exit = Exit::Ok;
  for (EventId event : events) {
    if (!retry(context, db.projections(), args.name, event)) exit = Exit::Failure;
  }
  return exit;
}

Exit run_dlq_drop(Context& context, const DlqChooseArgs& args) {
  Db db = open_store_for_reading(context);
  const std::vector<EventId> events = chosen_events(db, args);
  if (!events.empty()) drop_dead_letters(db.directory(), args.name, events);
  if (context.json()) {
    for (EventId event : events) {
      context.out.json(
          JsonObject().text("projection", args.name).number("event", event).boolean("dropped", true).finish());
    }
  } else {
    context.out.line(
        fmt::format("{} dropped", events.size() == 1 ? "1 dead letter" : grouped(events.size()) + " dead letters"));
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
