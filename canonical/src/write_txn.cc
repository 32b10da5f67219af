#include "azoth/canonical/write_txn.h"

#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "key.h"
#include "out_of_memory.h"
#include "record.h"
#include "writing_store.h"

namespace azoth {

// The snapshot the transaction began with, and over it its own writes, as versions numbered by operation: so a range
// that is being walked shows the writes up to when it was made, and no later ones.
class WriteTxnState {
 public:
  // Takes over the exclusive lock.
  explicit WriteTxnState(WritingStore& store)
      : store_(store), snapshot_(store.snapshot(store.applied())), next_event_(store.next_event()) {}
  ~WriteTxnState() {
    if (locked_) store_.end_exclusive();
  }
  WriteTxnState(const WriteTxnState&) = delete;
  WriteTxnState& operator=(const WriteTxnState&) = delete;

  std::optional<std::string_view> get(std::string_view key) const {
    check_key(key);
    if (const VersionMap::Node* node = own_.find(Space::State, key, operations_)) {
      if (node->removed()) return std::nullopt;
      return node->value_view();
    }
    return snapshot_->get(Space::State, key);
  }

  StateRange range(KeyRange range, ScanOptions options) const {
    VersionCursor own(own_, operations_);
    return StateRange(std::make_unique<StateCursor>(*snapshot_, std::move(range), options, own));
  }

  void put(BytesView key, BytesView value) {
    check_key(key);
    store_.check_value(key, value);
    make_room(kSetBytes + key.size() + value.size());
    char* copy = arena_.allocate(value.size() + 1);  // never null: that would be a deletion
    value.view().copy(copy, value.size());
    own_.insert(Space::State, key, operations_ + 1, copy, static_cast<std::uint32_t>(value.size()));
    set_.put(key, value);
    ++operations_;
  }

  void del(BytesView key) {
    check_key(key);
    make_room(kUnsetBytes + key.size());
    own_.insert(Space::State, key, operations_ + 1, nullptr, 0);
    set_.del(key);
    ++operations_;
  }

  EventId append(const Event& event) {
    make_room(kEventBytes + store_.check_event(event));
    set_.append(event);
    return next_event_ + set_.events() - 1;
  }

  std::uint64_t next_sequence(std::string_view name, std::uint64_t n) {
    return store_.allocate_sequence(name, n, store_.deadline({}));
  }

  Ticket commit(Durability level) {
    Ticket ticket = store_.sequence(set_, level, store_.deadline({}));
    store_.end_exclusive();
    locked_ = false;
    return ticket;
  }

 private:
  // In the set, whose part of an operation cannot fail behind this: it is done last, so that an operation that throws
  // is not committed.
  void make_room(std::size_t bytes) {
    store_.check_room(set_, bytes);
    RecordBuilder::make_room(set_, bytes);
  }

  WritingStore& store_;
  bool locked_ = true;
  std::unique_ptr<Snapshot> snapshot_;
  const EventId next_event_;
  WriteSet set_;
  Arena arena_;
  VersionMap own_{arena_};
  CommitSeq operations_ = 0;
};

WriteTxn Store::begin(std::optional<std::chrono::nanoseconds> timeout) {
  WritingStore& store = impl_->writer();
  store.begin_exclusive(store.deadline(timeout));
  try {
    return WriteTxn(std::make_unique<WriteTxnState>(store));
  } catch (...) {
    store.end_exclusive();
    throw;
  }
}

namespace {

// A transaction that was committed, aborted or moved from is over.
WriteTxnState& live(const std::unique_ptr<WriteTxnState>& state) {
  if (!state) throw Error(ErrorCode::InvalidArgument, "the transaction is over; begin another");
  return *state;
}

}  // namespace

WriteTxn::WriteTxn(std::unique_ptr<WriteTxnState> state) : state_(std::move(state)) {}
WriteTxn::WriteTxn(WriteTxn&&) noexcept = default;
WriteTxn& WriteTxn::operator=(WriteTxn&&) noexcept = default;
WriteTxn::~WriteTxn() = default;

std::optional<std::string_view> WriteTxn::get(BytesView key) const { return live(state_).get(key); }
bool WriteTxn::exists(BytesView key) const { return get(key).has_value(); }

StateRange WriteTxn::scan(BytesView prefix, ScanOptions options) const {
  return range({.from = std::string(prefix.view()), .to = prefix_end(prefix)}, options);
}

StateRange WriteTxn::range(KeyRange range, ScanOptions options) const {
  return live(state_).range(std::move(range), options);
}

void WriteTxn::put(BytesView key, BytesView value) { live(state_).put(key, value); }
void WriteTxn::del(BytesView key) { live(state_).del(key); }
EventId WriteTxn::append(const Event& event) { return live(state_).append(event); }
std::uint64_t WriteTxn::next_sequence(std::string_view name, std::uint64_t n) {
  return or_out_of_memory(kNoMemoryForNumbers, [&] { return live(state_).next_sequence(name, n); });
}

CommitInfo WriteTxn::commit(Durability level) { return commit_async(level).wait(level); }

Ticket WriteTxn::commit_async(Durability level) {
  live(state_);
  std::unique_ptr<WriteTxnState> state = std::move(state_);
  return or_out_of_memory(kNoMemoryForTransaction, [&] { return state->commit(level); });
}

void WriteTxn::abort() noexcept { state_.reset(); }

}  // namespace azoth
