#include "settings.h"

#include "azoth/core/error.h"
#include "azoth/lockmgr/stripe_locks.h"

namespace azoth {

namespace {

void check_option(bool holds, const char* what) {
  if (!holds) throw Error(ErrorCode::InvalidArgument, what);
}

}  // namespace

void check_options(const Options& options) {
  check_option(options.segment_bytes >= limits::kMinSegmentBytes && options.segment_bytes <= limits::kMaxSegmentBytes &&
                   options.segment_bytes % 4096 == 0,
               "segment_bytes must be a multiple of 4096 from 64 KiB to 1 GiB");
  check_option(options.delta_bytes >= limits::kMinDeltaBytes && options.delta_bytes <= limits::kMaxDeltaBytes,
               "delta_bytes must be 64 KiB to 64 GiB");
  check_option(options.max_value_bytes <= limits::kMaxRaisedBytes, "max_value_bytes must be at most 511 MiB");
  check_option(options.max_event_bytes <= limits::kMaxRaisedBytes, "max_event_bytes must be at most 511 MiB");
  check_option(options.map_bytes >= limits::kMinMapBytes, "map_bytes must be at least 1 MiB");
  check_option(options.max_readers >= limits::kMinReaders && options.max_readers <= limits::kMaxReaders,
               "max_readers must be 2 to 65536");
  check_option(options.stripes >= 1 && options.stripes <= StripeLocks::kMaxStripes, "stripes must be 1 to 1048576");
  check_option(options.command_retention.count() >= 0 && options.command_retention <= std::chrono::years{1000},
               "command_retention must be 0 to a thousand years; 0 keeps them for ever");
  check_option(options.sequence_block >= 1, "sequence_block must be at least 1");
  auto sensible = [](std::chrono::milliseconds time) {
    return time.count() > 0 && time <= std::chrono::hours(24) * 365;
  };
  check_option(sensible(options.sync_interval), "sync_interval must be positive and at most a year");
  check_option(sensible(options.delta_age), "delta_age must be positive and at most a year");
}

}  // namespace azoth
