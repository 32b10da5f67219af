// Systems as contestants: each plays a load on a system of its own, which it opens before the first round.
#pragma once

#include <optional>

#include "load.h"
#include "scratch.h"
#include "system.h"

namespace azoth::bench {

Contestant contestant(const SystemKind& kind, const Settings& settings, Scratch& scratch, const Load& load,
                      std::optional<double> at_least = {});

unsigned threads(const Settings& settings, unsigned own);

// At the device's pace, the memory never fills: a Delta is moved when it is old.
Load paced(const Settings& settings);
// Long enough for what is gathered in memory to be moved meanwhile.
Load sustained(const Settings& settings, unsigned own_threads, unsigned in_flight = 1);

}  // namespace azoth::bench
