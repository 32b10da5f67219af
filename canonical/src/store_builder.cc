#include "azoth/canonical/store_builder.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "azoth/canonical/commit_record.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/limits.h"
#include "commands.h"
#include "new_store.h"
#include "replay_into_lmdb.h"
#include "sequences.h"
#include "settings.h"
#include "sorted_runs.h"
#include "store_impl.h"

namespace azoth {

namespace {

// What one LMDB transaction takes of the content; a row that is larger has one of its own.
constexpr std::uint64_t kPieceBytes = std::uint64_t{32} << 20;
constexpr std::uint64_t kSlackBytes = std::uint64_t{4} << 20;
constexpr CommitSeq kMaxCommit = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::Corruption, "what is to be restored is not a store's content: " + what);
}

std::string seal_row_key() { return std::string(1, static_cast<char>(Space::Meta)).append(kSealKey); }

}  // namespace

class StoreBuilder::Impl {
 public:
  Impl(const std::filesystem::path& directory, const Facts& facts, const Options& options, FileSystem& fs)
      : facts_(facts),
        options_(options),
        fs_(fs),
        store_(directory, fs),
        rows_(facts.store_id),
        tags_(std::in_place, fs, store_.paths().directory / "tags") {
    check_options(options_);
    if (facts_.lineage.empty()) refuse("it is of no timeline");
    env_.emplace(store_.paths().canonical, lmdb_settings(options_), LmdbEnv::Mode::Create);
    env_->sync_commits(false);
  }

  // --- The content

  void put(std::string_view key, std::string_view value) {
    if (key.empty() || key.size() > limits::kMaxKeyBytes) {
      refuse("a key has " + std::to_string(key.size()) + " bytes");
    }
    if (last_key_ && key <= *last_key_) refuse("key " + printable(key) + " is out of order");
    make_room(key.size() + value.size());
    head_.sums.state += rows_.put_value(*txn_, Table::State, key, value, true);
    last_key_ = key;
  }

  void append(const EventView& event) {
    if (event.id() != head_.last_event + 1) {
      refuse("event " + std::to_string(event.id()) + " comes where event " + std::to_string(head_.last_event + 1) +
             " belongs");
    }
    if (!event_codec::well_formed(event.body())) refuse("event " + std::to_string(event.id()) + " cannot be decoded");
    if (event.commit_seq() < last_event_commit_ || event.commit_seq() == 0) {
      refuse("event " + std::to_string(event.id()) + " says that it is of commit " +
             std::to_string(event.commit_seq()));
    }
    latest_event_ = std::max(latest_event_, event.commit_time());
    make_room(event.body().size());
    head_.sums.events += rows_.append_event(*txn_, event);
    for (std::string_view tag : event.tags()) tags_->add(tag_key(tag, event.id()));
    head_.last_event = event.id();
    last_event_commit_ = event.commit_seq();
  }

  void put_own(Space space, std::string_view key, std::string_view value) {
    if (space == Space::State || static_cast<std::uint8_t>(space) > kLastSpace) refuse("there is no such space");
    if (!is_own_name(space, key)) refuse("the store has no row of its own named " + printable(key));
    if (space == Space::Sequence) decode_block(key, value);
    if (space == Space::Command) note_command(decode_command(key, value));
    std::string own_key = std::string(1, static_cast<char>(space)).append(key);
    if (own_key <= last_own_key_) refuse("the store's own rows are out of order");
    make_room(own_key.size() + value.size());
    head_.sums.own += rows_.put_value(*txn_, Table::System, own_key, value);
    last_own_key_ = std::move(own_key);
  }

  void end_content(CommitSeq last_commit, Timestamp latest) {
    if (last_event_commit_ > last_commit) refuse("its last event is from a commit behind its last one");
    if (latest_event_ > latest) refuse("an event is from a later time than its last commit");
    if (last_command_.commit_seq > last_commit || last_command_.last_event > head_.last_event) {
      refuse("a command was done by a commit behind its last one");
    }
    if (last_command_.time > latest) refuse("a command was done at a later time than its last commit");
    if (last_commit > kMaxCommit) refuse("there is no commit " + std::to_string(last_commit));
    write_tags();
    begin_piece(0);
    head_.last_commit = last_commit;
    head_.latest = latest;
    head_.state_keys = txn_->entries(Table::State);
    head_.tag_entries = txn_->entries(Table::Tags);
    rows_.put_head(*txn_, head_);
    end_piece();
    records_.emplace(*env_, rows_, head_, options_.delta_bytes);
    next_event_ = head_.last_event + 1;
    next_commit_ = last_commit + 1;
  }

  // --- The commits

  void apply(std::string record) {
    const RecordHeader header = decode_record_header(record);
    if (header.commit_seq != next_commit_ || (header.events != 0 && header.first_event != next_event_)) {
      refuse("commit " + std::to_string(header.commit_seq) + " with event " + std::to_string(header.first_event) +
             " comes where commit " + std::to_string(next_commit_) + " and event " + std::to_string(next_event_) +
             " belong");
    }
    check_record(record);
    records_->insert(std::move(record));
    next_commit_ += 1;
    next_event_ += header.events;
  }

  // --- The store

  ContentTotals finish(const Uuid& timeline) {
    records_->finish();
    records_.reset();
    Head head = rows_.head(env_->begin_read());
    const Timeline line{.id = timeline, .parent = facts_.lineage.front().id, .fork = head.last_commit};
    StoreRow row{.store_id = facts_.store_id, .created = facts_.created, .lineage = facts_.lineage};
    row.lineage.insert(row.lineage.begin(), line);
    head.clean = create_journal(fs_, store_.paths().journal, {facts_.store_id, timeline}, options_.segment_bytes,
                                head.last_commit + 1);
    AZOTH_FAULT("builder.journal");
    const ContentTotals totals = write_identity_rows(row, head);
    env_.reset();
    AZOTH_FAULT("builder.lmdb");
    store_.finish(facts_.store_id);
    return totals;
  }

 private:
  // Whoever repeats a command waits for the commit that its row names.
  void note_command(const CommitInfo& row) {
    const bool no_events = row.events == 0 && row.first_event == 0;
    const bool some_events = row.events != 0 && row.first_event != 0 && row.last_event >= row.first_event;
    if (row.commit_seq == 0 || (!no_events && !some_events)) {
      refuse("a command was done by commit " + std::to_string(row.commit_seq) + " with " + std::to_string(row.events) +
             " events from event " + std::to_string(row.first_event) + " on");
    }
    last_command_.commit_seq = std::max(last_command_.commit_seq, row.commit_seq);
    last_command_.last_event = std::max(last_command_.last_event, row.last_event);
    last_command_.time = std::max(last_command_.time, row.time);
  }

  // The last transaction: with it LMDB is what a clean close leaves, and all of it is durable.
  ContentTotals write_identity_rows(const StoreRow& row, Head& head) {
    env_->sync_commits(true);
    env_->reserve_disk(kSlackBytes);
    LmdbWriteTxn txn(*env_);
    if (const auto seal = txn.get(Table::System, seal_row_key())) {
      head.sums.own -= Rows::stored_checksum(seal);
      txn.del(Table::System, seal_row_key());
    }
    rows_.put_store(txn, row);
    rows_.put_head(txn, head);
    const auto newest = txn.get(Table::Events, event_key(head.last_event));
    ContentTotals totals{.last_commit = head.last_commit,
                         .last_event = head.last_event,
                         .last_event_commit = newest ? rows_.event(head.last_event, *newest, true).commit_seq() : 0,
                         .latest = head.latest,
                         .state_rows = head.state_keys,
                         .state_sum = head.sums.state,
                         .events_sum = head.sums.events};
    txn.commit(head.last_commit);
    return totals;
  }

  void begin_piece(std::uint64_t bytes) {
    if (txn_) return;
    env_->reserve_disk(2 * std::max(bytes, kPieceBytes) + kSlackBytes);
    txn_.emplace(*env_);
    piece_bytes_ = 0;
  }

  void end_piece() {
    if (!txn_) return;
    txn_->commit(0);
    txn_.reset();
    env_->begin_writing();
  }

  // For a row of so many bytes, in the transaction that is open or the next one. Disk space is reserved before anything
  // is written, so that a full disk is an error and nothing else.
  void make_room(std::uint64_t bytes) {
    if (txn_ && piece_bytes_ + bytes > kPieceBytes) end_piece();
    begin_piece(bytes);
    piece_bytes_ += bytes + 64;
  }

  // The whole index at once, in order: each page is written once.
  void write_tags() {
    tags_->for_each([this](std::string_view key) {
      make_room(key.size());
      txn_->reserve(Table::Tags, key, 0, true);
    });
    tags_.reset();  // its files must be gone before this is a store
  }

  const Facts facts_;
  const Options options_;
  FileSystem& fs_;
  NewStore store_;
  const Rows rows_;
  std::optional<LmdbEnv> env_;
  std::optional<LmdbWriteTxn> txn_;
  std::uint64_t piece_bytes_ = 0;
  Head head_;
  CommitSeq last_event_commit_ = 0;
  std::optional<std::string> last_key_;
  std::string last_own_key_;
  Timestamp latest_event_ = Timestamp::min();
  CommitInfo last_command_{.time = Timestamp::min()};  // the greatest of each number that a command's row has
  std::optional<SortedRuns> tags_;
  std::optional<RecordsIntoLmdb> records_;  // ends before the environment
  CommitSeq next_commit_ = 0;
  EventId next_event_ = 0;
};

StoreBuilder::StoreBuilder(const std::filesystem::path& directory, const Facts& facts, const Options& options,
                           FileSystem& fs)
    : impl_(std::make_unique<Impl>(directory, facts, options, fs)) {}
StoreBuilder::~StoreBuilder() = default;

void StoreBuilder::put(std::string_view key, std::string_view value) { impl_->put(key, value); }
void StoreBuilder::append(const EventView& event) { impl_->append(event); }
void StoreBuilder::put_own(std::uint8_t space, std::string_view key, std::string_view value) {
  impl_->put_own(static_cast<Space>(space), key, value);
}
void StoreBuilder::end_content(CommitSeq last_commit, Timestamp latest) { impl_->end_content(last_commit, latest); }
void StoreBuilder::apply(std::string record) { impl_->apply(std::move(record)); }
ContentTotals StoreBuilder::finish(const Uuid& timeline) { return impl_->finish(timeline); }

}  // namespace azoth
