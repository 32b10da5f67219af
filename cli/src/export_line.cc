#include "export_line.h"

#include "json_reader.h"
#include "json_writer.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::string hex_object(std::string_view bytes) { return R"({"hex":")" + to_hex(bytes) + R"("})"; }

constexpr std::size_t kLevelsAround = 3;  // of a payload in a line: the line, its events, the event

// The source text where apply would keep exactly these bytes, else hex.
std::string source_or_hex(std::string_view bytes, bool only_objects) {
  JsonShape shape = inspect_json(bytes);
  bool as_it_is = shape.one_line && !shape.only_hex && (shape.object || !only_objects) &&
                  shape.depth + kLevelsAround <= kMaxJsonDepth;
  return as_it_is ? std::string(bytes) : hex_object(bytes);
}

// A text, or hex where escapes would make it longer than that: a line then is at most about twice its content.
std::string text_or_hex(std::string_view bytes) {
  std::string text;
  append_json_text(text, bytes);
  return text.size() > 2 * bytes.size() + 16 ? hex_object(bytes) : text;
}

}  // namespace

std::string exported_event(const EventView& event) {
  std::string type;
  append_json_text(type, event.type());
  JsonObject object;
  object.raw("type", type);
  if (!event.tags().empty()) object.raw("tags", json_strings(event.tags()));
  object.text("time", format_time(event.time()));
  if (!event.metadata().empty()) object.raw("metadata", source_or_hex(event.metadata(), true));
  if (!event.payload().empty()) object.raw("payload", source_or_hex(event.payload(), false));
  return object.finish();
}

void ExportLines::add_event(const EventView& event) {
  std::string text = exported_event(event);
  bool full = events_.size() + text.size() > kExportLineBytes;
  if (event.commit_seq() != commit_ || full) end_events();
  commit_ = event.commit_seq();
  if (!events_.empty()) events_ += ',';
  events_ += text;
}

void ExportLines::add_key(std::string_view key, std::string_view value) {
  end_events();
  bool hex = !is_utf8(key);
  std::string member;
  append_json_string(member, hex ? to_hex(key) : key);
  member += ':' + text_or_hex(value);
  if (puts_.size() + puts_hex_.size() + member.size() > kExportLineBytes) end_keys();
  std::string& puts = hex ? puts_hex_ : puts_;
  if (!puts.empty()) puts += ',';
  puts += member;
}

void ExportLines::finish() {
  end_events();
  end_keys();
}

void ExportLines::end_events() {
  if (events_.empty()) return;
  sink_(R"({"events":[)" + events_ + "]}");
  events_.clear();
}

void ExportLines::end_keys() {
  JsonObject object;
  if (!puts_.empty()) object.raw("put", '{' + puts_ + '}');
  if (!puts_hex_.empty()) object.raw("put_hex", '{' + puts_hex_ + '}');
  if (!puts_.empty() || !puts_hex_.empty()) sink_(object.finish());
  puts_.clear();
  puts_hex_.clear();
}

}  // namespace azoth::cli
