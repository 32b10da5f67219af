#include "lists.h"

#include <charconv>
#include <cstdio>
#include <stdexcept>

namespace azoth::proof::histories {
namespace {

Word number_at(std::string_view& text) {
  Word number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) throw std::invalid_argument("no number: " + std::string(text));
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

}  // namespace

std::string ListId::name() const {
  char text[24];
  const Word in_kind = is_key() ? slot() : slot() - kKeySlots;
  std::snprintf(text, sizeof text, "%c%u/%06u", is_key() ? 'k' : 't', in_kind, number());
  return text;
}

ListId ListId::parse(std::string_view name) {
  if (name.size() < 4 || (name[0] != 'k' && name[0] != 't'))
    throw std::invalid_argument("no list: " + std::string(name));
  const bool key = name[0] == 'k';
  name.remove_prefix(1);
  const Word slot = number_at(name) + (key ? 0 : kKeySlots);
  name.remove_prefix(1);
  return of(slot, number_at(name));
}

std::string values_text(const Values& values) {
  std::string text;
  for (Word value : values) {
    if (!text.empty()) text += ',';
    text += std::to_string(value);
  }
  return text;
}

Values parse_values(std::string_view text) {
  Values values;
  while (!text.empty()) {
    values.push_back(number_at(text));
    if (!text.empty()) text.remove_prefix(1);
  }
  return values;
}

std::string txn_payload(Word txn, const std::vector<Wish>& appends) {
  std::string text = std::to_string(txn);
  for (const Wish& append : appends) text += ' ' + append.list.name() + '=' + std::to_string(append.append);
  return text;
}

TxnPayload parse_txn_payload(std::string_view payload) {
  TxnPayload parsed{.txn = number_at(payload), .appends = {}};
  while (!payload.empty()) {
    payload.remove_prefix(1);
    const std::size_t end = payload.find('=');
    if (end == payload.npos) throw std::invalid_argument("no append: " + std::string(payload));
    const ListId list = ListId::parse(payload.substr(0, end));
    payload.remove_prefix(end + 1);
    parsed.appends.push_back({list, number_at(payload)});
  }
  return parsed;
}

}  // namespace azoth::proof::histories
