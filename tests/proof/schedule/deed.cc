#include "deed.h"

#include <algorithm>
#include <sstream>

#include "scheduler.h"

namespace azoth::proof {

std::string Deed::text() const {
  std::ostringstream text;
  text << number << ' ' << events;
  for (const auto& [key, bytes] : puts) text << " put " << key << ' ' << bytes;
  for (const std::string& key : deletes) text << " delete " << key;
  for (const std::string& key : counts) text << " count " << key;
  for (const auto& [tag, event] : expected) text << " expect " << tag << ' ' << event;
  return text.str();
}

Deed Deed::parse(std::string_view text) {
  std::istringstream words{std::string(text)};
  Deed deed;
  words >> deed.number >> deed.events;
  std::string word;
  while (words >> word) {
    std::string name;
    std::size_t number = 0;
    words >> name;
    if (word == "put" && words >> number) deed.puts.emplace_back(name, number);
    if (word == "delete") deed.deletes.push_back(name);
    if (word == "count") deed.counts.push_back(name);
    if (word == "expect" && words >> number) deed.expected.emplace_back(name, number);
  }
  return deed;
}

std::string Deed::value(std::size_t bytes) const {
  std::string value = std::to_string(number) + ":";
  value.resize(std::max(bytes, value.size()), static_cast<char>('a' + number % 26));
  return value;
}

void Content::add(const EventView& event) {
  const std::string where = "event " + std::to_string(event.id());
  if (event.id() != last_event_ + 1) fail(where + " follows event " + std::to_string(last_event_));
  if (event.commit_seq() < last_commit_) fail(where + " is of an earlier commit than the one before it");
  last_event_ = event.id();
  bool is_first = !event.payload().starts_with('+');
  if (is_first != (unfinished_ == 0)) fail(where + " is not of the transaction that it should be of");
  if (is_first) {
    if (event.commit_seq() == last_commit_) fail(where + " has the commit of another transaction");
    last_commit_ = event.commit_seq();
    Deed deed = Deed::parse(event.payload());
    if (!deeds_.emplace(deed.number, Place{event.commit_seq(), event.id()}).second) {
      fail("transaction " + std::to_string(deed.number) + " was done twice, again with " + where);
    }
    perform(deed);
    unfinished_ = deed.events;
  } else if (event.commit_seq() != last_commit_) {
    fail(where + " has another commit than its transaction's first");
  }
  --unfinished_;
  for (std::string_view tag : event.tags()) newest_.insert_or_assign(std::string(tag), event.id());
}

void Content::perform(const Deed& deed) {
  for (const auto& [tag, event] : deed.expected) {
    auto found = newest_.find(tag);
    EventId newest = found == newest_.end() ? 0 : found->second;
    if (newest == event) continue;
    fail("transaction " + std::to_string(deed.number) + " was done although the newest event of " + tag + " was " +
         std::to_string(newest) + " and not " + std::to_string(event));
  }
  for (const auto& [key, bytes] : deed.puts) state_[key] = deed.value(bytes);
  for (const std::string& key : deed.deletes) state_.erase(key);
  for (const std::string& key : deed.counts) {
    std::string& value = state_[key];
    value = i64(value.empty() ? 1 : as_i64(value) + 1);
  }
}

Content Content::of(const ReadTxn& snapshot) {
  Content content;
  for (const EventView& event : snapshot.events()) content.add(event);
  if (content.unfinished_ != 0) fail("a snapshot ends in the middle of a transaction");
  content.check(snapshot);
  content.last_commit_ = snapshot.commit_seq();
  return content;
}

void Content::check(const ReadTxn& snapshot) const {
  const std::string at = " in the snapshot of commit " + std::to_string(snapshot.commit_seq());
  if (last_commit_ > snapshot.commit_seq()) fail("an event of commit " + std::to_string(last_commit_) + " is" + at);
  if (last_event_ != snapshot.last_event()) fail("the last event is not the last one that can be read," + at);
  auto expected = state_.begin();
  for (auto [key, value] : snapshot.scan()) {
    if (expected == state_.end() || key != expected->first) fail("there should be no key " + std::string(key) + at);
    if (value != expected->second) {
      fail("key " + std::string(key) + " is " + std::string(value.substr(0, 20)) + " and should be " +
           expected->second.substr(0, 20) + at);
    }
    ++expected;
  }
  if (expected != state_.end()) fail("key " + expected->first + " is missing" + at);
  for (const auto& [tag, event] : newest_) {
    if (snapshot.tag_version(tag) != event) fail("the newest event of " + tag + " is wrong" + at);
  }
}

}  // namespace azoth::proof
