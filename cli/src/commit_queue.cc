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
    std::deque<Entry> one;
    one.push_back({line, std::move(ticket)});
    settle(one);
    return throw_failure();
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return in_flight_ < depth_ || failure_; });
  waiting_.push_back({line, std::move(ticket)});
  ++in_flight_;
  changed_.notify_all();
  if (failure_) std::rethrow_exception(failure_);
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
    if (failed_line_ != 0) return;
  }
}

// Waits for each in order. Acknowledgements are held back only while the next commit is known to be there already.
void CommitQueue::settle(std::deque<Entry>& entries) {
  while (!entries.empty()) {
    const Entry& entry = entries.front();
    const CommitInfo* commit = wait_for(entry);
    if (commit == nullptr) return;
    count(*commit);
    acknowledge(entry.line, *commit, entries.size() > 1 && entries[1].ticket.reached(level_));
    entries.pop_front();
    std::lock_guard lock(mutex_);
    if (in_flight_ > 0) --in_flight_;
    if (in_flight_ + 1 == depth_ || in_flight_ == 0) changed_.notify_all();
  }
}

// Nothing if it has failed.
const CommitInfo* CommitQueue::wait_for(const Entry& entry) {
  try {
    return &entry.ticket.wait(level_);
  } catch (...) {
    failed_line_ = entry.line;
    fail(std::current_exception());
    return nullptr;
  }
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

void CommitQueue::acknowledge(std::uint64_t line, const CommitInfo& commit, bool more_at_once) {
  if (ack_fd_ < 0 || acks_failed_) return;
  try {
    const std::string ack = ack_line(line, commit);
    if (acks_.size() + ack.size() > kAtomicWrite) write_acks();
    acks_ += ack;
    if (!more_at_once) write_acks();
  } catch (...) {
    acks_failed_ = true;
    fail(std::current_exception());
  }
}

void CommitQueue::write_acks() {
  std::string lines = std::exchange(acks_, {});
  write_all(ack_fd_, lines, "writing acknowledgements to standard output");
}

void CommitQueue::fail(std::exception_ptr failure) {
  {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  changed_.notify_all();
  std::uint64_t one = 1;
  if (::write(stop_fd_, &one, sizeof one) < 0) return;  // can only be full, which is readable
}

}  // namespace azoth::cli
