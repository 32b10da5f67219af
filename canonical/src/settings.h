// Options: whether they can be, and what LMDB takes of them.
#pragma once

#include "azoth/canonical/options.h"
#include "lmdb_env.h"

namespace azoth {

void check_options(const Options& options);  // throws InvalidArgument

inline LmdbEnv::Settings lmdb_settings(const Options& options) { return {options.map_bytes, options.max_readers}; }

inline Clock& clock_of(const Options& options) { return options.clock != nullptr ? *options.clock : Clock::system(); }

}  // namespace azoth
