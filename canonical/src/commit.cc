#include "azoth/canonical/commit.h"

#include "group_commit.h"

namespace azoth {

const CommitInfo& Ticket::wait(Durability level) const {
  wait_until(level, kNoDeadline);
  return info_;
}

bool Ticket::wait_for(Durability level, std::chrono::nanoseconds timeout) const {
  return wait_until(level, deadline_after(timeout));
}

bool Ticket::reached(Durability level) const { return group_->reached(info_.commit_seq, level); }

void Ticket::then(Durability level, TicketCallback callback) const {
  group_->call_back({info_, level, std::move(callback)});
}

std::future<CommitInfo> Ticket::future(Durability level) const {
  auto promise = std::make_shared<std::promise<CommitInfo>>();
  std::future<CommitInfo> future = promise->get_future();
  then(level, [promise](const CommitInfo& info, const Error* failure) {
    if (failure == nullptr) {
      promise->set_value(info);
    } else {
      promise->set_exception(std::make_exception_ptr(*failure));
    }
  });
  return future;
}

bool Ticket::wait_until(Durability level, Deadline deadline) const {
  return batch_ ? group_->wait(*batch_, info_.commit_seq, level, deadline)
                : group_->wait_for_all(info_.commit_seq, level, deadline);
}

}  // namespace azoth
