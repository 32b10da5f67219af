#include "ledger.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "scheduler.h"

namespace azoth::proof {

namespace {

std::size_t index(Durability level) { return static_cast<std::size_t>(level); }
std::string name(int deed) { return "transaction " + std::to_string(deed); }

}  // namespace

int Ledger::begin_deed() {
  int number = static_cast<int>(deeds_.size()) + 1;
  deeds_[number] = {};
  return number;
}

void Ledger::refused(int deed) {
  Entry& entry = deeds_.at(deed);
  if (entry.info.commit_seq != 0) fail(name(deed) + " was refused after it had its place");
  entry.is_gone = true;
}

void Ledger::sequenced(int deed, const CommitInfo& info) {
  Entry& entry = deeds_.at(deed);
  entry.info = info;
  note(Durability::Applied, info.commit_seq);
}

void Ledger::acknowledged(int deed, Durability level) {
  Entry& entry = deeds_.at(deed);
  entry.level = std::max(entry.level, level);
  note(level, entry.info.commit_seq);
}

void Ledger::note(Durability level, CommitSeq commit) {
  for (std::size_t i = index(Durability::Applied); i <= index(level); ++i) {
    acknowledged_.at(i) = std::max(acknowledged_.at(i), commit);
  }
}

const CommitInfo* Ledger::place(int deed) const {
  const Entry& entry = deeds_.at(deed);
  return entry.info.commit_seq != 0 ? &entry.info : nullptr;
}

std::uint64_t Ledger::next_number(const std::string& name) const {
  auto found = numbers_.find(name);
  return found == numbers_.end() ? 0 : found->second.at(index(Durability::Applied));
}

void Ledger::handed_out(const std::string& name, std::uint64_t first, std::uint64_t count, Durability level) {
  auto& ranges = ranges_[name];
  const auto behind = ranges.lower_bound(first);
  const bool overlaps = (behind != ranges.end() && behind->first < first + count) ||
                        (behind != ranges.begin() && std::prev(behind)->second > first);
  if (overlaps) fail("numbers of " + name + " from " + std::to_string(first) + " on were handed out twice");
  ranges[first] = first + count;
  auto& next = numbers_[name];
  for (std::size_t i = index(Durability::Applied); i <= index(level); ++i) {
    next.at(i) = std::max(next.at(i), first + count);
  }
}

void Ledger::lose_below(Durability level) {
  for (auto& [number, entry] : deeds_) {
    entry.level = entry.level >= level ? Durability::Durable : Durability::Applied;
  }
  acknowledged_.fill(acknowledged(level));
  for (auto& [name, next] : numbers_) next.fill(next.at(index(level)));
  ranges_.clear();
}

void Ledger::check(const Content& content, CommitSeq at_least) const {
  const std::string at = ", of commit " + std::to_string(content.last_commit());
  for (const auto& [number, place] : content.deeds()) {
    auto entry = deeds_.find(number);
    if (entry == deeds_.end()) fail(name(number) + " is there, which nobody has begun" + at);
    if (entry->second.is_gone) fail(name(number) + " is there, which was refused or lost before" + at);
  }
  for (const auto& [number, entry] : deeds_) {
    if (entry.info.commit_seq == 0 || entry.info.commit_seq > content.last_commit()) continue;
    auto found = content.deeds().find(number);
    if (found == content.deeds().end()) fail(name(number) + " is not there" + at);
    if (found->second.commit != entry.info.commit_seq || found->second.first_event != entry.info.first_event) {
      fail(name(number) + " is at another place than was said, commit " + std::to_string(entry.info.commit_seq) + at);
    }
  }
  if (content.last_commit() < at_least) fail("commit " + std::to_string(at_least) + " is missing" + at);
}

void Ledger::recovered(const Content& content) {
  for (auto& [number, entry] : deeds_) {
    auto found = content.deeds().find(number);
    if (found == content.deeds().end()) {
      entry = {.info = {}, .is_gone = true};
    } else {
      entry.info.commit_seq = found->second.commit;
      entry.info.first_event = found->second.first_event;
      entry.level = Durability::Durable;
    }
  }
  acknowledged_.fill(content.last_commit());
}

}  // namespace azoth::proof
