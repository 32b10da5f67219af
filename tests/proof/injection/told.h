// What a workload was told by the store before it ended or died: in memory that it shares with who checks it.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "azoth/canonical/durability.h"
#include "azoth/core/error.h"
#include "azoth/core/ids.h"

namespace azoth::inject {

struct Word {
  enum What : int { Nothing, Submitted, Acknowledged, Number, Command, Projected, BackedUp, Restored };
  int what = Nothing;
  int step = 0;              // or the ordinal of what was backed up
  std::uint64_t commit = 0;  // or what was numbered
  Durability level = Durability::Durable;
};

// Each word is there before the next thing is done. From several threads; never allocates.
class Told {
 public:
  void say(const Word& word) {
    const std::uint32_t at = next_.fetch_add(1);
    if (at >= kWords) std::abort();
    words_[at] = word;
    ready_[at].store(true);
  }
  std::vector<Word> words() const {
    std::vector<Word> all;
    for (std::uint32_t i = 0; i < next_.load() && i < kWords; ++i) {
      if (ready_[i].load()) all.push_back(words_[i]);
    }
    return all;
  }

  // What went against the rules; the first of it is kept.
  void complain(const char* what, const char* more = "") {
    if (complaints_.fetch_add(1) == 0) std::snprintf(complaint_, sizeof complaint_, "%s%s", what, more);
  }
  const char* complaint() const { return complaint_; }

  // What was answered with an Error.
  void met(ErrorCode code) { errors_[static_cast<std::size_t>(code)].fetch_add(1); }
  std::uint32_t errors(ErrorCode code) const { return errors_[static_cast<std::size_t>(code)].load(); }
  std::uint32_t errors() const {
    std::uint32_t sum = 0;
    for (const auto& count : errors_) sum += count.load();
    return sum;
  }

  void start_with(const std::vector<Word>& words) {
    new (this) Told;
    for (const Word& word : words) say(word);
  }

 private:
  static constexpr std::uint32_t kWords = 4096;
  std::atomic<std::uint32_t> next_{0};
  std::atomic<std::uint32_t> complaints_{0};
  char complaint_[1000] = {};
  std::atomic<std::uint32_t> errors_[128] = {};  // by their codes
  Word words_[kWords] = {};
  std::atomic<bool> ready_[kWords] = {};
};

// Of a forked process and its parent.
template <class T>
class Shared {
 public:
  Shared() : at_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (at_ == MAP_FAILED) std::abort();
  }
  ~Shared() { munmap(at_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T& operator*() const { return *static_cast<T*>(at_); }  // zeros at first
  T* operator->() const { return static_cast<T*>(at_); }

 private:
  void* at_;
};

}  // namespace azoth::inject
