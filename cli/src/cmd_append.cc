#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>

#include "azoth/core/limits.h"
#include "commands.h"
#include "json_reader.h"

namespace azoth::cli {
namespace {

std::string read_standard_input(std::size_t limit) {
  std::string bytes;
  char chunk[1 << 16];
  for (;;) {
    ssize_t size = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (size == 0) break;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw_errno(errno, "reading standard input");
    bytes.append(chunk, static_cast<std::size_t>(size));
    if (bytes.size() > limit) {
      throw Error(ErrorCode::EventTooLarge, fmt::format("the payload on standard input exceeds {} bytes", limit));
    }
  }
  if (bytes.ends_with('\n')) bytes.pop_back();
  return bytes;
}

std::string payload_of(const AppendArgs& args, const Options& options) {
  std::string given = args.payload ? *args.payload : args.payload_option.value_or("");
  // Twice the limit, as the payload may be hex; the store checks the limit itself.
  if (given == "-") given = read_standard_input(2 * options.max_event_bytes + 1);
  return argument_bytes(given, args.hex, "PAYLOAD");
}

}  // namespace

Exit run_append(Context& context, const AppendArgs& args) {
  Event event{.type = args.type, .tags = {args.tags.begin(), args.tags.end()}, .payload = {}};
  if (args.metadata) {
    if (!inspect_json(*args.metadata).object) throw UsageError("--metadata must be a JSON object on one line");
    event.metadata = *args.metadata;
  }
  if (args.time) {
    event.time = parse_time(*args.time);
    if (!event.time) throw UsageError("--time must be an RFC 3339 time such as 2026-11-21T09:30:00Z");
  }
  std::string payload = payload_of(args, context.globals.options);
  event.payload = payload;
  WriteSet set;
  set.append(event);
  Db db = open_store(context);
  CommitInfo commit = db.submit(std::move(set))->wait();
  if (context.json()) {
    context.out.json(JsonObject().number("event", commit.last_event).number("commit", commit.commit_seq).finish());
  } else {
    context.out.line(fmt::format("{}", commit.last_event));
  }
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
