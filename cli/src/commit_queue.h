// Commits on their way to a durability level, acknowledged in order.
//
// The thread that submits pushes tickets; another one waits for them, so that parsing goes on while a batch is being
// written. With a depth of 1 there is nothing to overlap and push() waits itself.
//
// push() and finish() are for one thread. What goes wrong with a commit, or with writing an acknowledgement, is thrown
// by the next push() or by finish(), and nothing after it is acknowledged. Behind a commit that has failed there is none;
// behind an acknowledgement that could not be written commits go on to be waited for and counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "azoth/db.h"

namespace azoth::cli {

class CommitQueue {
 public:
  struct Totals {
    std::uint64_t transactions = 0;
    std::uint64_t events = 0;
    EventId first_event = 0;  // 0 if there is none
    EventId last_event = 0;
    std::uint64_t repeated = 0;  // commands that were carried out before: counted here only
  };

  // At most `depth` commits wait. Acknowledgements are written to `ack_fd` (-1: none) with one write(2) for those that
  // have reached the level at that moment, never before they have.
  CommitQueue(Durability level, std::uint64_t depth, int ack_fd);
  ~CommitQueue();
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // Also where it throws the commit has been taken over.
  void push(std::uint64_t line, Ticket ticket);
  // Waits for everything that was pushed.
  void finish();
  // Becomes readable when something has gone wrong: whoever waits for more input need not.
  int stop_fd() const { return stop_fd_; }
  // What has reached the level. After finish(), also if that threw.
  const Totals& totals() const { return totals_; }
  // The line of the first commit that failed, 0 if none has. After finish(), also if that threw.
  std::uint64_t failed_line() const { return failed_line_; }

 private:
  struct Entry {
    std::uint64_t line;
    Ticket ticket;
  };

  void run();
  void settle(std::deque<Entry>& entries);
  const CommitInfo* wait_for(const Entry& entry);
  void count(const CommitInfo& commit);
  void acknowledge(std::uint64_t line, const CommitInfo& commit, bool more_at_once);
  void write_acks();
  void fail(std::exception_ptr failure);
  void throw_failure();

  const Durability level_;
  const std::uint64_t depth_;
  const int ack_fd_;
  int stop_fd_;
  // Of the thread that waits for tickets:
  Totals totals_;
  std::uint64_t failed_line_ = 0;
  std::string acks_;
  bool acks_failed_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> waiting_;
  std::uint64_t in_flight_ = 0;
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace azoth::cli
