#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "commands.h"
#include "interruption.h"
#include "json_reader.h"
#include "text.h"

namespace azoth::cli {
namespace {

EventQuery query_of(const EventsArgs& args) {
  EventQuery query{.after = args.after, .types = args.types, .tags = args.tags};
  query.to = args.to.value_or(std::numeric_limits<EventId>::max());
  query.reverse = args.reverse || args.last.has_value();
  query.limit = args.last.value_or(args.limit.value_or(kNoLimit));
  return query;
}

// The same as the query, for an event that comes later.
bool selected(const EventView& event, const EventsArgs& args) {
  if (!args.types.empty() && std::find(args.types.begin(), args.types.end(), event.type()) == args.types.end()) {
    return false;
  }
  auto has = [&](std::string_view wanted) {
    for (std::string_view tag : event.tags()) {
      if (tag == wanted) return true;
    }
    return false;
  };
  return std::all_of(args.tags.begin(), args.tags.end(), has);
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

void list_events(Context& context, const ReadTxn& snapshot, const EventsArgs& args) {
  EventRange range = snapshot.events(query_of(args));
  if (!args.last || args.reverse) {
    for (const EventView& event : range) print(context, event);
    return;
  }
  std::vector<EventView> newest_first;
  for (const EventView& event : range) newest_first.push_back(event);
  for (auto event = newest_first.rbegin(); event != newest_first.rend(); ++event) print(context, *event);
}

// How many ids are gone through between two looks at whether the program is to end.
constexpr EventId kPiece = 1 << 16;

// Prints what is there already and then what comes, until it is interrupted or has printed as many as were asked for.
class Follower {
 public:
  Follower(Context& context, const EventsArgs& args) : context_(context), args_(args) {}

  void run(std::optional<ReadTxn> snapshot, Subscription& live, const Interruption& interruption) {
    if (left_ == 0) return;
    auto take = [&](const EventView& event) {
      print(context_, event);
      return --left_ > 0 && !interruption.happened();
    };
    if (args_.last) {
      list_newest(*snapshot, interruption, take);
    } else {
      list(*snapshot, interruption, take);
    }
    snapshot.reset();  // what lives long keeps disk pages from being reused
    context_.out.flush();
    while (left_ > 0) {
      std::optional<CommittedEvents> commit = live.next();
      if (!commit) return;
      bool more = true;
      for (const EventView& event : commit->events()) {
        if (more && selected(event, args_)) more = take(event);
      }
      context_.out.flush();
    }
  }

 private:
  // Both go piece by piece, so that a signal is noticed also where nothing is selected for long.
  template <class Take>
  void list(const ReadTxn& snapshot, const Interruption& interruption, Take take) const {
    EventQuery piece = query_of(args_);
    const EventId last = snapshot.last_event();
    while (piece.after < last && !interruption.happened()) {
      piece.to = piece.after + std::min(kPiece, last - piece.after);
      for (const EventView& event : snapshot.events(piece)) {
        if (!take(event)) return;
      }
      piece.after = piece.to;
    }
  }

  template <class Take>
  void list_newest(const ReadTxn& snapshot, const Interruption& interruption, Take take) const {
    std::vector<EventView> newest_first;
    EventQuery piece = query_of(args_);
    piece.to = snapshot.last_event();
    while (piece.to > args_.after && newest_first.size() < *args_.last && !interruption.happened()) {
      piece.after = piece.to - std::min(kPiece, piece.to - args_.after);
      piece.limit = *args_.last - newest_first.size();
      for (const EventView& event : snapshot.events(piece)) newest_first.push_back(event);
      piece.to = piece.after;
    }
    for (auto event = newest_first.rbegin(); event != newest_first.rend(); ++event) {
      if (interruption.happened() || !take(*event)) return;
    }
  }

  Context& context_;
  const EventsArgs& args_;
  std::uint64_t left_ = args_.limit.value_or(kNoLimit);
};

class InterruptibleOutput {
 public:
  InterruptibleOutput(Output& out, int fd) : out_(out) { out_.interrupt_by(fd); }
  ~InterruptibleOutput() { out_.interrupt_by(-1); }
  InterruptibleOutput(const InterruptibleOutput&) = delete;
  InterruptibleOutput& operator=(const InterruptibleOutput&) = delete;

 private:
  Output& out_;
};

Exit follow_events(Context& context, const EventsArgs& args) {
  block_signals();
  Db db = open_store_for_reading(context);
  std::optional<ReadTxn> snapshot = db.read();
  Subscription live = db.subscribe(std::max(args.after, snapshot->last_event()));
  Interruption interruption(STDOUT_FILENO, [&live] { live.stop(); });
  InterruptibleOutput output(context.out, interruption.fd());
  Follower(context, args).run(std::move(snapshot), live, interruption);
  if (interruption.output_closed()) throw OutputClosed{};
  return Exit::Ok;
}

void check(const EventsArgs& args) {
  if (args.last && args.limit && !args.follow) {
    throw UsageError("--last N and --limit N exclude each other, except with --follow; give one of them");
  }
  if (!args.follow) return;
  if (args.to) throw UsageError("--follow never ends at an id; leave out --to, or leave out --follow to list up to it");
  if (args.reverse) {
    throw UsageError("--follow prints events as they come, the newest last; leave out --reverse or --follow");
  }
}

}  // namespace

Exit run_events(Context& context, const EventsArgs& args) {
  check(args);
  if (args.follow) return follow_events(context, args);
  Db db = open_store_for_reading(context);
  list_events(context, db.read(), args);
  return Exit::Ok;
}

}  // namespace azoth::cli
