// The value of a line's "if_none": {"types":[...],"tags":[...],"after":N}, or an array of such objects.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_reader.h"
#include "transaction_line.h"

namespace azoth::cli {

class IfNoneSink : public JsonSink {
 public:
  // `text` is the whole line, into which the reader's positions point.
  IfNoneSink(std::string_view text, std::vector<NoEventSince>& to) : text_(text), to_(to) {}

  void open(JsonKind kind, std::size_t begin) override;
  void close(std::size_t end) override;
  void key(std::string& name) override;
  void scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) override;

  bool done() const { return places_.empty(); }  // after a call of close()

 private:
  enum class Place {
    List,     // the array, if there is one
    Pattern,  // one object
    Texts,    // its types or tags
    Hex,      // {"hex":"..."} where a text may stand
  };

  void open_pattern();
  void close_pattern();
  void open_field(JsonKind kind);
  void open_hex(JsonKind kind);
  void give(std::string text);
  std::string pattern_name() const;
  std::string where() const;

  std::string_view text_;
  std::vector<NoEventSince>& to_;
  std::vector<Place> places_;  // what is open, inwards
  bool list_ = false;
  std::string_view field_;  // of the pattern
  std::optional<std::string> hex_;
};

}  // namespace azoth::cli
