// What a full is compared with while it is written.
#include "full_snapshot.h"

#include <functional>

#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;

class FullSnapshotTest : public BackupTest {
 protected:
  // With what the store says that it holds changed so.
  void write(const std::function<void(ContentTotals&)>& change) {
    const std::unique_ptr<BackupSource> source = store_->backup_source();
    BackupSource::Content content = source->content(1);
    change(content.totals);
    SnapshotSet set = SnapshotSet::create(set_path(), source->store_id(), {});
    PendingSnapshot pending = set.begin(SnapshotType::Full, {});
    FullSnapshot(*source, content, pending, {}, std::nullopt).write();
  }
};

// A row that LMDB has lost the newest version of is right by itself. A full of it could not be restored, and would be
// the reason for a purge to remove those that can be.
TEST_F(FullSnapshotTest, IsRefusedWhenTheRowsDoNotAddUpToWhatWasWrittenLast) {
  put("key", "value");
  append("event");
  write([](ContentTotals&) {});
  std::filesystem::remove_all(set_path());
  expect_error([&] { write([](ContentTotals& totals) { ++totals.state_sum; }); }, ErrorCode::Corruption,
               "rows of the state are not those that were written last");
  std::filesystem::remove_all(set_path());
  expect_error([&] { write([](ContentTotals& totals) { --totals.events_sum; }); }, ErrorCode::Corruption,
               "events are not those that were written last");
  std::filesystem::remove_all(set_path());
  expect_error([&] { write([](ContentTotals& totals) { ++totals.state_rows; }); }, ErrorCode::Corruption,
               "should have 2");
}

}  // namespace
}  // namespace azoth::backup::test
