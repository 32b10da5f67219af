#include "replay_into_lmdb.h"

#include <memory>
#include <string>

namespace azoth {

EventId replay_into_lmdb(LmdbEnv& env, const Rows& rows, FileSystem& fs, const std::filesystem::path& directory,
                         const JournalIdentity& identity, const ReplayPlan& plan, const Head& head,
                         std::size_t delta_bytes) {
  EventId last_event = head.last_event;
  auto delta = std::make_unique<Delta>(head.last_commit + 1, last_event + 1, delta_bytes);
  auto flush = [&] {
    if (delta->empty()) return;
    flush_delta(env, rows, *delta);
    last_event = delta->last_event(delta->last_commit());
    delta = std::make_unique<Delta>(delta->last_commit() + 1, last_event + 1, delta_bytes);
  };
  replay(fs, directory, identity, plan, head.last_commit, [&](std::string_view record) {
    delta->insert(std::string(record));
    if (delta->bytes() >= delta_bytes) flush();
  });
  flush();
  return last_event;
}

}  // namespace azoth
