// How a manifest says the sums of a store's row checksums.
#pragma once

#include <cinttypes>
#include <cstdio>
#include <string>

#include "azoth/canonical/backup_source.h"

namespace azoth::backup {

inline std::string content_sums(const ContentTotals& totals) {
  char text[33];
  std::snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, totals.state_sum, totals.events_sum);
  return text;
}

}  // namespace azoth::backup
