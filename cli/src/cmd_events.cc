#include <fmt/format.h>

#include <vector>

#include "commands.h"
#include "json_reader.h"
#include "text.h"

namespace azoth::cli {
namespace {

EventQuery query_of(const EventsArgs& args) {
  EventQuery query{.after = args.after, .to = args.to, .types = args.types, .tags = args.tags};
  query.reverse = args.reverse || args.last.has_value();
  query.limit = args.last.value_or(args.limit);
  return query;
}

// JSON is shown as it is: its own escapes would be doubled otherwise.
std::string payload_text(std::string_view payload) {
  if (inspect_json(payload).one_line) return terminal_safe_json(payload);
  return is_utf8(payload) ? escaped(payload) : "hex:" + to_hex(payload);
}

std::string event_text(const EventView& event) {
  std::string tags;
  for (std::string_view tag : event.tags()) {
    if (!tags.empty()) tags += ',';
    tags += escaped(tag);
  }
  return fmt::format("{}\t{}\t{}\t{}\t{}", event.id(), format_time(event.time()), escaped(event.type()), tags,
                     payload_text(event.payload()));
}

void print(Context& context, const EventView& event) {
  if (context.json()) {
    context.out.json(event_json(event));
  } else {
    context.out.line(event_text(event));
  }
}

}  // namespace

Exit run_events(Context& context, const EventsArgs& args) {
  Db db = open_store(context);
  ReadTxn snapshot = db.read();
  EventRange range = snapshot.events(query_of(args));
  if (!args.last || args.reverse) {
    for (const EventView& event : range) print(context, event);
    return Exit::Ok;
  }
  std::vector<EventView> newest_first;
  for (const EventView& event : range) newest_first.push_back(event);
  for (auto event = newest_first.rbegin(); event != newest_first.rend(); ++event) print(context, *event);
  return Exit::Ok;
}

}  // namespace azoth::cli
