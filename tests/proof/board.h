// What the workers of a campaign share: a page of memory in a file, so that it is still there when one of them dies.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace azoth::proof {

class Board {
 public:
  static constexpr std::size_t kWorkers = 16;

  struct Worker {
    std::atomic<std::uint64_t> states;
    std::atomic<std::uint64_t> later_states;  // of them, those of second and third lives
    std::atomic<std::uint64_t> traces;
    std::atomic<std::uint64_t> bad;         // whatever went wrong
    std::atomic<std::uint64_t> bad_states;  // of it, states in which a promise was broken
    char doing[2048];                       // the state that is being checked, for whoever must tell what it died of
    char failure[4096];                     // the first bad one
  };
  struct Shared {
    std::atomic<std::uint64_t> next_job;
    Worker workers[kWorkers];
  };

  explicit Board(const std::filesystem::path& file);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  Shared* operator->() const { return shared_; }
  std::uint64_t states() const;
  std::uint64_t bad() const;
  static void put(char* to, std::size_t size, std::string_view text);

 private:
  Shared* shared_;
};

}  // namespace azoth::proof
