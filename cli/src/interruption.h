// Ending work that would go on for ever: SIGINT and SIGTERM, and the reader of standard output going away, are noticed
// at once, also while nothing is printed. A thread of its own sleeps until then and makes no system calls meanwhile.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace azoth::cli {

// Holds SIGINT and SIGTERM back for an Interruption. On the main thread, before there are others: they inherit it.
void block_signals();

class Interruption {
 public:
  // `action` is called on another thread, at most once, when it happens. Needs block_signals() before.
  Interruption(int out_fd, std::function<void()> action);
  ~Interruption();  // `action` is over, and is not called any more
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool happened() const { return happened_.load(); }
  bool output_closed() const { return output_closed_.load(); }  // then that is what happened
  int fd() const { return happened_fd_; }                       // becomes readable when it happens

 private:
  void watch();

  const int out_fd_;
  const std::function<void()> action_;
  int signal_fd_ = -1;
  int happened_fd_ = -1;
  int end_fd_ = -1;
  std::atomic<bool> happened_{false};
  std::atomic<bool> output_closed_{false};
  std::thread thread_;  // last: it uses the others
};

}  // namespace azoth::cli
