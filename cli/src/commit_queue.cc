#include "commit_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "json_writer.h"
#include "output.h"

namespace azoth::cli {
namespace {

// What a pipe takes in one piece: a reader of a killed run finds whole lines only.
constexpr std::size_t kAtomicWrite = 4096;

std::string ack_line(std::uint64_t line, const CommitInfo& commit) {
  JsonObject ack;
  ack.number("line", line)
      .number("commit", commit.commit_seq)
      .number_or_null("first_event", commit.first_event)
      .number_or_null("last_event", commit.last_event);
  if (commit.already_applied) ack.boolean("already_applied", true);
  return ack.finish() + '\n';
}

}  // namespace

CommitQueue::CommitQueue(Durability level, std::uint64_t depth, int ack_fd)
    : level_(level), depth_(depth), ack_fd_(ack_fd), stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (stop_fd_ < 0) throw_errno(errno, "creating an event descriptor");
  if (depth_ > 1) thread_ = std::thread([this] { run(); });
}

CommitQueue::~CommitQueue() {
  try {
    finish();
  } catch (...) {  // whoever wanted to know has called finish()
  }
  ::close(stop_fd_);
}

void CommitQueue::push(std::uint64_t line, Ticket ticket) {
  if (depth_ == 1) {
    throw_failure();
    std::deque<Entry> one;
    one.push_back({line, std::move(ticket)});
    settle(one);
    return throw_failure();
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return in_flight_ < depth_ || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  waiting_.push_back({line, std::move(ticket)});
  ++in_flight_;
  changed_.notify_all();
}

void CommitQueue::finish() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  throw_failure();
}

void CommitQueue::throw_failure() {
  std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void CommitQueue::run() {
  std::deque<Entry> entries;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !waiting_.empty() || ending_; });
      if (waiting_.empty()) return;
      entries.swap(waiting_);
    }
    settle(entries);
    std::lock_guard lock(mutex_);
    if (failure_) return;
  }
}

// Waits for each in order. Acknowledgements are held back only while the next commit is known to be there already.
void CommitQueue::settle(std::deque<Entry>& entries) {
  try {
    while (!entries.empty()) {
      settle_one(entries.front());
      entries.pop_front();
      bool more_at_once = !entries.empty() && entries.front().ticket.reached(level_);
      if (!more_at_once) write_acks();
      std::lock_guard lock(mutex_);
      if (in_flight_ > 0) --in_flight_;
      if (in_flight_ + 1 == depth_ || in_flight_ == 0) changed_.notify_all();
    }
  } catch (...) {
    fail(std::current_exception());
  }
}

void CommitQueue::settle_one(const Entry& entry) {
  const CommitInfo& commit = entry.ticket.wait(level_);
  count(commit);
  if (ack_fd_ < 0) return;
  std::string line = ack_line(entry.line, commit);
  if (acks_.size() + line.size() > kAtomicWrite) write_acks();
  acks_ += line;
}

void CommitQueue::count(const CommitInfo& commit) {
  if (commit.already_applied) {
    ++totals_.repeated;
    return;
  }
  ++totals_.transactions;
  totals_.events += commit.events;
  if (totals_.first_event == 0) totals_.first_event = commit.first_event;
  if (commit.last_event != 0) totals_.last_event = commit.last_event;
}

void CommitQueue::write_acks() {
  if (acks_.empty()) return;
  std::string lines = std::exchange(acks_, {});
  write_all(ack_fd_, lines, "writing acknowledgements to standard output");
}

void CommitQueue::fail(std::exception_ptr failure) {
  {
    std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  changed_.notify_all();
  std::uint64_t one = 1;
  if (::write(stop_fd_, &one, sizeof one) < 0) return;  // can only be full, which is readable
}

}  // namespace azoth::cli
