#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

void print_next(Context& context, std::string_view name, std::uint64_t next, std::string_view text) {
  if (context.json()) {
    context.out.json(JsonObject().bytes("sequence", name).number("next", next).finish());
  } else {
    context.out.line(text);
  }
}

}  // namespace

Exit run_sequence_next(Context& context, const SequenceNextArgs& args) {
  Db db = open_store(context);
  std::uint64_t first = db.next_sequence(args.name, args.count);
  std::uint64_t last = first + args.count - 1;
  context.done = args.count == 1 ? fmt::format("number {} was taken and is not given out again", first)
                                 : fmt::format("numbers {} to {} were taken and are not given out again", first, last);
  if (context.json()) {
    context.out.json(JsonObject()
                         .bytes("sequence", args.name)
                         .number("first", first)
                         .number("last", last)
                         .number("count", args.count)
                         .finish());
  } else {
    context.out.line(args.count == 1 ? fmt::format("{}", first) : fmt::format("{}..{}", first, last));
  }
  db.close();
  return Exit::Ok;
}

Exit run_sequence_peek(Context& context, const SequencePeekArgs& args) {
  Db db = open_store_for_reading(context);
  std::uint64_t next = db.peek_sequence(args.name);
  print_next(context, args.name, next, fmt::format("{}", next));
  return Exit::Ok;
}

Exit run_sequence_list(Context& context, const SequenceListArgs&) {
  Db db = open_store_for_reading(context);
  for (const SequenceInfo& sequence : db.sequences()) {
    print_next(context, sequence.name, sequence.next, fmt::format("{}\t{}", escaped(sequence.name), sequence.next));
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
