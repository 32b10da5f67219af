// The state as a sorted map, and whether a snapshot reads as it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/limits.h"
#include "store_support.h"

namespace azoth::test {

using StateModel = std::map<std::string, std::string>;

// Keys that are hard to order: with the smallest and the largest bytes, extending one another, of the largest size.
inline const std::vector<std::string>& tricky_keys() {
  using namespace std::string_literals;
  static const std::vector<std::string> keys = {
      "\0"s,     "\0\0"s,  "\0\xFF"s,      "\x01",          "a",
      "a\0"s,    "a\0\0"s, "a\0\xFF"s,     "a\x01",         "ab",
      "abc",     "a\xFE",  "a\xFE\xFF",    "a\xFF",         "a\xFF\0"s,
      "a\xFF\xFF", "b",    "\x7F",         "\x80",          "\xFE",
      "\xFE\xFF", "\xFF",  "\xFF\0"s,      "\xFF\xFF",      "\xFF\xFF\xFF",
      std::string(limits::kMaxKeyBytes, '\0'),     std::string(limits::kMaxKeyBytes, 'a'),
      std::string(limits::kMaxKeyBytes - 1, 'a'),  std::string(limits::kMaxKeyBytes, '\xFF'),
      std::string(limits::kMaxKeyBytes - 1, '\xFF')};
  return keys;
}

// Bounds and prefixes to ask for: those keys, what lies right behind and before them, and what no key can be.
inline const std::vector<std::string>& tricky_bounds() {
  static const std::vector<std::string> bounds = [] {
    std::vector<std::string> all = tricky_keys();
    for (const std::string& key : tricky_keys()) {
      all.push_back(key + '\0');
      all.push_back(key.substr(0, key.size() - 1));
      if (auto end = prefix_end(key)) all.push_back(*end);
    }
    all.push_back("");
    all.push_back(std::string(2 * limits::kMaxKeyBytes, 'a'));
    all.push_back(std::string(2 * limits::kMaxKeyBytes, '\xFF'));
    return all;
  }();
  return bounds;
}

inline Entries expected_range(const StateModel& model, const KeyRange& range, const ScanOptions& options) {
  Entries entries;
  for (const auto& entry : model) {
    bool inside = (!range.from || entry.first >= *range.from) && (!range.to || entry.first < *range.to);
    if (inside) entries.push_back(entry);
  }
  if (options.reverse) std::reverse(entries.begin(), entries.end());
  if (entries.size() > options.limit) entries.resize(options.limit);
  return entries;
}

inline Entries expected_scan(const StateModel& model, std::string_view prefix, const ScanOptions& options) {
  Entries entries;
  for (const auto& entry : model) {
    if (entry.first.starts_with(prefix)) entries.push_back(entry);
  }
  if (options.reverse) std::reverse(entries.begin(), entries.end());
  if (entries.size() > options.limit) entries.resize(options.limit);
  return entries;
}

inline ScanOptions random_options(std::mt19937_64& random) {
  ScanOptions options;
  options.reverse = random() % 2 == 0;
  if (random() % 3 == 0) options.limit = random() % 4;
  return options;
}

template <class Reader>
void expect_get(const Reader& reader, const StateModel& model, const std::string& key) {
  auto value = reader.get(key);
  auto expected = model.find(key);
  ASSERT_EQ(value.has_value(), expected != model.end()) << to_hex(key);
  if (value) {
    ASSERT_EQ(*value, expected->second) << to_hex(key);
  }
  ASSERT_EQ(reader.exists(key), expected != model.end());
}

template <class Reader>
void expect_range(const Reader& reader, const StateModel& model, const KeyRange& range, const ScanOptions& options) {
  ASSERT_EQ(collect(reader.range(range, options)), expected_range(model, range, options))
      << "from " << (range.from ? "'" + to_hex(*range.from) + "'" : "the start") << " to "
      << (range.to ? "'" + to_hex(*range.to) + "'" : "the end") << (options.reverse ? " reverse" : "") << " limit "
      << options.limit;
}

template <class Reader>
void expect_scan(const Reader& reader, const StateModel& model, const std::string& prefix, const ScanOptions& options) {
  ASSERT_EQ(collect(reader.scan(prefix, options)), expected_scan(model, prefix, options))
      << "prefix '" << to_hex(prefix) << "'" << (options.reverse ? " reverse" : "") << " limit " << options.limit;
}

// Everything once: each key, each prefix, all of it both ways.
template <class Reader>
void expect_reads_as(const Reader& reader, const StateModel& model) {
  for (bool reverse : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, model, {}, {.reverse = reverse}));
    for (const std::string& bound : tricky_bounds()) {
      ASSERT_NO_FATAL_FAILURE(expect_scan(reader, model, bound, {.reverse = reverse}));
      ASSERT_NO_FATAL_FAILURE(expect_range(reader, model, {.from = bound}, {.reverse = reverse}));
      ASSERT_NO_FATAL_FAILURE(expect_range(reader, model, {.to = bound}, {.reverse = reverse, .limit = 2}));
    }
  }
  for (const std::string& key : tricky_keys()) ASSERT_NO_FATAL_FAILURE(expect_get(reader, model, key));
}

// A few questions at random.
template <class Reader>
void expect_some_reads(const Reader& reader, const StateModel& model, std::mt19937_64& random, int questions) {
  const auto& bounds = tricky_bounds();
  auto bound = [&]() -> const std::string& { return bounds[random() % bounds.size()]; };
  for (int i = 0; i < questions; ++i) {
    KeyRange range;
    if (random() % 4 != 0) range.from = bound();
    if (random() % 4 != 0) range.to = bound();
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, model, range, random_options(random)));
    ASSERT_NO_FATAL_FAILURE(expect_scan(reader, model, bound(), random_options(random)));
    ASSERT_NO_FATAL_FAILURE(expect_get(reader, model, tricky_keys()[random() % tricky_keys().size()]));
  }
}

}  // namespace azoth::test
