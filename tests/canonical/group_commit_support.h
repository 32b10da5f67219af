// The stores of these tests do nothing by age: the syncer comes after an hour, so whoever is not woken hangs, and the
// watchdog tells.
#pragma once

#include "write_path_support.h"

namespace azoth::test {

class GroupCommitTest : public WritePath {
 protected:
  CommitSeq visible() { return store_->read().commit_seq(); }

  TestStore store_;
};

}  // namespace azoth::test
