// Between a ReadTxn and what is in it, for those who make ReadTxns of their own and look into them.
#pragma once

#include <memory>
#include <utility>

#include "azoth/canonical/read_txn.h"
#include "snapshot.h"

namespace azoth {

class ReadTxnMaker {
 public:
  static ReadTxn make(std::unique_ptr<Snapshot> snapshot) { return ReadTxn(std::move(snapshot)); }
  static const Snapshot& snapshot_of(const ReadTxn& reader) { return *reader.snapshot_; }
};

}  // namespace azoth
