// Transactions that are bulk transactions in a store with quiet_options().
#pragma once

#include <string>
#include <string_view>

#include "write_path_support.h"

namespace azoth::test {

inline constexpr std::size_t kBulk = 600'000;  // more than half of a segment of 1 MiB

inline WriteSet bulk_of(std::string_view key, char fill = 'b') { return set_of(key, std::string(kBulk, fill)); }

class BulkCommitTest : public WritePath {};

}  // namespace azoth::test
