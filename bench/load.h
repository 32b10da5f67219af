// Clients that commit as fast as they can: the load of the commit workloads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "content.h"
#include "contest.h"
#include "settings.h"
#include "system.h"

namespace azoth::bench {

struct Load {
  unsigned threads = 1;
  unsigned in_flight = 1;      // commits each thread has under way
  double rate = 0;             // commits a second that all threads make together; 0: as many as they can
  bool hot = false;            // all threads change one key, otherwise each has its share of the keys
  bool events = true;          // an event (with its tag) a commit, otherwise the update of the key alone
  std::uint64_t keys = 0;      // 0: Settings::keys
  std::size_t value_size = 0;  // 0: Settings::value_size
  double warm_up = 0;          // seconds before what is measured
  double seconds = 0;          // measured
  std::uint64_t log = 0;       // events that the log has before, with as many tags as there are keys
  std::uint64_t burst = 0;     // not 0: commits of one burst; bursts follow each other, each on a settled system
};

// The changes one thread makes: random keys of its share, random bytes. The same for every system in the same round.
class ChangeSource {
 public:
  ChangeSource(const Settings& settings, const Load& load, unsigned thread, unsigned round);

  // Valid until the next call.
  Change next();

 private:
  const std::size_t value_size_;
  const bool events_;
  const bool tags_;
  std::uint64_t first_key_;
  std::uint64_t keys_;
  Random random_;
  Name key_{kKeyPrefix};
  Name tag_{kTagPrefix};
};

Sample run_load(System& system, const Settings& settings, const Load& load, unsigned round);

}  // namespace azoth::bench
