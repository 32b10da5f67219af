#include "full_snapshot.h"

#include <algorithm>
#include <functional>

#include "azoth/canonical/content_digest.h"
#include "block_file.h"
#include "records.h"

namespace azoth::backup {

namespace {

constexpr std::uint64_t kRowsAtOnce = 2000;      // between looks at the meter
constexpr std::uint64_t kLeastShardRows = 1024;  // smaller ones are not worth their files

void check_sum(std::uint64_t found, std::uint64_t expected, const char* what) {
  if (found == expected) return;
  throw Error(ErrorCode::Corruption, std::string(what) +
                                         " are not those that were written last: their checksums do not add up; "
                                         "restore the store from an older backup");
}

// Where shard `index` begins, of `count` rows in so many shards.
std::uint64_t shard_begin(std::uint64_t count, std::uint32_t index, std::uint32_t shards) {
  return count / shards * index + std::min<std::uint64_t>(count % shards, index);
}

}  // namespace

std::uint32_t FullSnapshot::shards_of(std::uint64_t rows) const {
  const std::uint64_t most = rows / kLeastShardRows + 1;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, std::max<std::uint32_t>(options_.shards, 1)));
}

void FullSnapshot::check_state_sum(std::uint64_t sum) const {
  check_sum(sum, content_.totals.state_sum, "the rows of the state");
}

void FullSnapshot::check_events_sum(std::uint64_t sum) const {
  check_sum(sum, content_.totals.events_sum, "the events");
}

Manifest FullSnapshot::write() {
  const std::uint64_t rows = content_.totals.state_rows + content_.totals.last_event;
  StepMeter meter(options_.progress, "copying", "rows", 2 * rows, [this] { source_.check_space(); });
  meter_ = &meter;
  write_files();
  check_state_sum(state_sum_);
  check_events_sum(events_sum_);
  meter.end();

  const ContentTotals& totals = content_.totals;
  Manifest facts;
  facts.last_commit = totals.last_commit;
  facts.last_event = totals.last_event;
  facts.last_event_commit = totals.last_event_commit;
  facts.earliest = facts.latest = totals.last_commit == 0 ? source_.created() : totals.latest;
  facts.state_rows = totals.state_rows;
  facts.state_digest = state_digest_;
  facts.events_digest = events_digest_;
  return facts;
}

// Tasks are begun in this order. So whoever gets to a shard of the state finds the cuts there, or waits for the thread
// that is about to find them.
void FullSnapshot::write_files() {
  Tasks tasks;
  const std::uint32_t event_shards = shards_of(content_.totals.last_event);
  const std::uint32_t state_shards = shards_of(content_.totals.state_rows);
  tasks.emplace_back([this](std::size_t worker) { cut_state(content_.readers[worker]); });
  tasks.emplace_back([this](std::size_t worker) { digest_events(content_.readers[worker]); });
  for (std::uint32_t shard = 0; shard < event_shards; ++shard) {
    tasks.emplace_back([this, shard](std::size_t worker) { write_events(content_.readers[worker], shard); });
  }
  tasks.emplace_back([this](std::size_t worker) { write_system(content_.readers[worker]); });
  for (std::uint32_t shard = 0; shard < state_shards; ++shard) {
    tasks.emplace_back([this, shard](std::size_t worker) {
      const std::shared_future<void> cut = cut_;  // each thread has its own
      cut.get();
      write_state(content_.readers[worker], shard);
    });
  }
  run_parallel(content_.readers.size(), tasks);
}

void FullSnapshot::cut_state(const ReadTxn& reader) {
  try {
    digest_state(reader);
    state_is_cut_.set_value();
  } catch (...) {
    state_is_cut_.set_exception(std::current_exception());
    throw;
  }
}

void FullSnapshot::digest_state(const ReadTxn& reader) {
  const std::uint64_t count = content_.totals.state_rows;
  const std::uint32_t shards = shards_of(count);
  StepCounter counter(*meter_, kRowsAtOnce);
  StateDigest digest;
  std::uint64_t row = 0;
  std::uint64_t sum = 0;
  std::uint32_t next_shard = 1;
  for (const auto& [key, value] : reader.scan()) {
    if (next_shard < shards && row == shard_begin(count, next_shard, shards)) {
      cuts_.emplace_back(key);
      ++next_shard;
    }
    digest.add(key, value);
    sum += source_.checksum(key, value);
    counter.add(1);
    ++row;
  }
  counter.flush();
  if (row != count) {
    throw Error(ErrorCode::Corruption, "the state has " + std::to_string(row) + " keys and should have " +
                                           std::to_string(count) + "; restore the store from an older backup");
  }
  check_state_sum(sum);
  state_digest_ = digest.finish_hex();
}

void FullSnapshot::digest_events(const ReadTxn& reader) {
  StepCounter counter(*meter_, kRowsAtOnce);
  EventsDigest digest;
  std::uint64_t sum = 0;
  for (const EventView& event : reader.events()) {
    digest.add(event);
    sum += source_.checksum(event);
    counter.add(1);
  }
  counter.flush();
  check_events_sum(sum);
  events_digest_ = digest.finish_hex();
}

void FullSnapshot::write_state(const ReadTxn& reader, std::uint32_t shard) {
  const auto shards = static_cast<std::uint32_t>(cuts_.size() + 1);
  KeyRange range;
  if (shard > 0) range.from = cuts_[shard - 1];
  if (shard < cuts_.size()) range.to = cuts_[shard];
  auto file = pending_.add_file(FileKind::State, shard, shards);
  StepCounter counter(*meter_, kRowsAtOnce);
  std::string head;
  std::uint64_t sum = 0;
  for (const auto& [key, value] : reader.range(std::move(range))) {
    records::encode_head(records::StateRow{key, value}, head);
    file->add(head, value);
    sum += source_.checksum(key, value);
    counter.add(1);
  }
  counter.flush();
  state_sum_ += sum;
  pending_.close_file(std::move(file));
}

void FullSnapshot::write_events(const ReadTxn& reader, std::uint32_t shard) {
  const EventId count = content_.totals.last_event;
  const std::uint32_t shards = shards_of(count);
  auto file = pending_.add_file(FileKind::Events, shard, shards);
  StepCounter counter(*meter_, kRowsAtOnce);
  std::string head;
  std::uint64_t sum = 0;
  for (const EventView& event :
       reader.events({.after = shard_begin(count, shard, shards), .to = shard_begin(count, shard + 1, shards)})) {
    records::encode_head(event, head);
    file->add(head, event.body());
    sum += source_.checksum(event);
    counter.add(1);
  }
  counter.flush();
  events_sum_ += sum;
  pending_.close_file(std::move(file));
}

void FullSnapshot::write_system(const ReadTxn& reader) {
  auto file = pending_.add_file(FileKind::System, 0, 1);
  std::string record;
  source_.for_each_own_row(reader, sealed_at_, [&](std::uint8_t space, std::string_view key, std::string_view value) {
    records::encode(records::OwnRow{space, key, value}, record);
    file->add(record);
  });
  pending_.close_file(std::move(file));
}

}  // namespace azoth::backup
