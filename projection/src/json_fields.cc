#include "json_fields.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "azoth/core/error.h"

namespace azoth {

namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::InvalidArgument, "its payload " + why); }

// The library's own builder would take an integer that is too large for a floating point number, and looks through all
// members of an object for each new one: the time that takes would grow with the square of their number.
class Builder {
 public:
  explicit Builder(Json& root) : root_(root) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(std::int64_t value) { return put(value); }
  bool number_unsigned(std::uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& text) {
    if (text.find_first_of(".eE") == std::string::npos) refuse("has an integer that is too large: " + text);
    return put(value);
  }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // JSON has none
  bool key(std::string& name) {
    open_.back().key = std::move(name);
    return true;
  }
  bool start_object(std::size_t) { return open(Json::value_t::object); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Json::value_t::array); }
  bool end_array() { return close(); }
  template <class Exception>
  bool parse_error(std::size_t at, const std::string&, const Exception&) {
    refuse("is no JSON: it cannot be read behind byte " + std::to_string(at));
  }

 private:
  struct Open {
    Json* value;      // stays where it is: nothing is added around it before it is closed
    std::string key;  // of the next member
    std::unordered_map<std::string, std::size_t> places;  // of the members, once they are many
  };

  bool open(Json::value_t kind) {
    if (open_.size() == JsonFields::kMaxDepth) refuse("is nested too deep");
    open_.push_back({&place(), {}, {}});
    *open_.back().value = kind;
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  template <class Value>
  bool put(Value&& value) {
    place() = std::forward<Value>(value);
    return true;
  }

  // Where the next value goes.
  Json& place() {
    if (open_.empty()) return root_;
    Open& in = open_.back();
    if (in.value->is_array()) return in.value->get_ref<Json::array_t&>().emplace_back();
    return member(in);
  }

  // The last of several members of one name wins, at the place of the first.
  static Json& member(Open& in) {
    constexpr std::size_t kFew = 16;
    Json::object_t& members = in.value->get_ref<Json::object_t&>();
    if (members.size() < kFew) return members[in.key];
    if (in.places.empty()) {
      for (const auto& [name, value] : members) in.places.emplace(name, in.places.size());
    }
    auto [at, is_new] = in.places.try_emplace(in.key, members.size());
    if (is_new) members.emplace_back(std::move(in.key), nullptr);
    return std::next(members.begin(), static_cast<std::ptrdiff_t>(at->second))->second;
  }

  Json& root_;
  std::vector<Open> open_;
};

// The longest name first: a literal field wins over a nested one.
const Json* find(const Json& object, std::string_view name) {
  if (auto at = object.find(std::string(name)); at != object.end()) return &*at;
  for (std::size_t end = name.rfind('_'); end != std::string_view::npos && end > 0; end = name.rfind('_', end - 1)) {
    auto inner = object.find(std::string(name.substr(0, end)));
    if (inner == object.end() || !inner->is_object()) continue;
    if (const Json* found = find(*inner, name.substr(end + 1))) return found;
  }
  return nullptr;
}

void bind_value(SqlStatement& statement, int index, const Json& value, std::string_view name) {
  switch (value.type()) {
    case Json::value_t::null:
      statement.bind(index, nullptr);
      return;
    case Json::value_t::boolean:
      statement.bind(index, value.get<bool>() ? 1 : 0);
      return;
    case Json::value_t::number_unsigned:
      if (value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse("has an integer that is too large in field " + std::string(name));
      }
      [[fallthrough]];
    case Json::value_t::number_integer:
      statement.bind(index, value.get<std::int64_t>());
      return;
    case Json::value_t::number_float:
      statement.bind(index, value.get<double>());
      return;
    case Json::value_t::string:
      statement.bind(index, value.get_ref<const std::string&>());
      return;
    default:
      statement.bind(index, value.dump());
  }
}

}  // namespace

struct JsonFields::Document {
  Json root;
};

JsonFields::JsonFields(std::string_view payload) : document_(std::make_unique<Document>()) {
  // The library takes the one for the end, and does not see the other.
  if (payload.find('\0') != std::string_view::npos) refuse("is no JSON: it has a zero byte");
  if (payload.starts_with("\xEF\xBB\xBF")) refuse("is no JSON: it begins with a byte order mark");
  Builder builder(document_->root);
  Json::sax_parse(payload, &builder);
  if (!document_->root.is_object()) refuse("is no JSON object");
}

JsonFields::~JsonFields() = default;

bool JsonFields::bind(SqlStatement& statement, int index, std::string_view name) const {
  const Json* value = find(document_->root, name);
  if (value == nullptr) return false;
  bind_value(statement, index, *value, name);
  return true;
}

std::string json_array(const TagRange& tags) {
  Json array = Json::array();
  for (std::string_view tag : tags) array.push_back(std::string(tag));
  return array.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace azoth
