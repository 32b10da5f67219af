// The fields of an event's payload, as a declared projection asks for them. The one place that touches JSON.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "azoth/core/event.h"
#include "azoth/projection/sql.h"

namespace azoth {

class JsonFields {
 public:
  // Throws InvalidArgument if it is no JSON object, is nested more than kMaxDepth deep, or has an integer that no 64
  // bits can hold.
  explicit JsonFields(std::string_view payload);
  ~JsonFields();
  JsonFields(const JsonFields&) = delete;
  JsonFields& operator=(const JsonFields&) = delete;

  static constexpr int kMaxDepth = 500;

  // Binds the field; false if there is none. Throws InvalidArgument for an integer that SQLite cannot hold.
  bool bind(SqlStatement& statement, int index, std::string_view name) const;

 private:
  struct Document;
  std::unique_ptr<Document> document_;
};

std::string json_array(const TagRange& tags);

}  // namespace azoth
