#include "json_fields.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "azoth/core/error.h"

namespace azoth {

namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::InvalidArgument, "its payload " + why); }

// The library's own builder, which would take an integer that is too large for a floating point number.
class Builder : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  explicit Builder(Json& to) : Base(to, false) {}

  bool number_float(double value, const std::string& text) {
    if (text.find_first_of(".eE") == std::string::npos) refuse("has an integer that is too large: " + text);
    return Base::number_float(value, text);
  }
  bool start_object(std::size_t size) {
    descend();
    return Base::start_object(size);
  }
  bool end_object() {
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t size) {
    descend();
    return Base::start_array(size);
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  template <class Exception>
  bool parse_error(std::size_t at, const std::string&, const Exception&) {
    refuse("is no JSON: it cannot be read behind byte " + std::to_string(at));
  }

 private:
  void descend() {
    if (++depth_ > JsonFields::kMaxDepth) refuse("is nested too deep");
  }
  int depth_ = 0;
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
