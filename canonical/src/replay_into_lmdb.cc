#include "replay_into_lmdb.h"

#include <future>
#include <system_error>
#include <utility>

namespace azoth {

RecordsIntoLmdb::RecordsIntoLmdb(LmdbEnv& env, const Rows& rows, const Head& head, std::size_t delta_bytes)
    : env_(env), rows_(rows), delta_bytes_(delta_bytes), last_event_(head.last_event), delta_(next(head.last_commit)) {}

void RecordsIntoLmdb::insert(std::string record) {
  delta_->insert(std::move(record));
  if (delta_->bytes() >= delta_bytes_) flush();
}

EventId RecordsIntoLmdb::finish() {
  flush();
  if (flushing_.valid()) flushing_.get();
  return last_event_;
}

std::unique_ptr<Delta> RecordsIntoLmdb::next(CommitSeq last_commit) const {
  return std::make_unique<Delta>(last_commit + 1, last_event_ + 1, delta_bytes_);
}

void RecordsIntoLmdb::flush() {
  if (delta_->empty()) return;
  if (flushing_.valid()) flushing_.get();  // with what it threw
  CommitSeq last_commit = delta_->last_commit();
  last_event_ = delta_->last_event(last_commit);
  const auto work = [this, full = std::shared_ptr<Delta>(std::move(delta_))] { flush_delta(env_, rows_, *full); };
  try {
    flushing_ = std::async(std::launch::async, work);
  } catch (const std::system_error&) {  // no thread for it: then when it is waited for
    flushing_ = std::async(std::launch::deferred, work);
  }
  delta_ = next(last_commit);
}

EventId replay_into_lmdb(LmdbEnv& env, const Rows& rows, FileSystem& fs, const std::filesystem::path& directory,
                         const JournalIdentity& identity, const ReplayPlan& plan, const Head& head,
                         std::size_t delta_bytes) {
  RecordsIntoLmdb into(env, rows, head, delta_bytes);
  replay(fs, directory, identity, plan, head.last_commit,
         [&](std::string_view record) { into.insert(std::string(record)); });
  return into.finish();
}

}  // namespace azoth
