// Sequences of operations on a store, with faults, against a model that is a map and a list.
//
// A fault may make a commit fail, and leave open whether it happened: then the store is opened again and must be where
// the model was before it or after it. What was acknowledged as durable must be there; nothing else may.
#include <cerrno>
#include <map>
#include <optional>

#include "azoth/canonical/store.h"
#include "azoth/core/fault.h"
#include "azoth/core/limits.h"
#include "target.h"

namespace azoth::proof {
namespace {

struct Model {
  std::map<std::string, std::string> state;
  std::vector<std::string> events;

  friend bool operator==(const Model&, const Model&) = default;
};

Options small_options() {
  Options options;
  options.segment_bytes = limits::kMinSegmentBytes;
  options.delta_bytes = limits::kMinDeltaBytes;
  options.delta_age = std::chrono::hours{1};
  options.sync_interval = std::chrono::hours{1};
  options.map_bytes = std::size_t{64} << 20;
  options.max_readers = 16;
  options.timeout = std::chrono::seconds{10};
  return options;
}

constexpr const char* kFaults[] = {
    "journal.write", "journal.sync", "lmdb.commit",         "lmdb.reserve", "flush.apply",           "file.create",
    "file.sync",     "file.rename",  "file.sync_directory", "bulk.apply",   "journal.start_segment", "file.allocate"};

class Run {
 public:
  explicit Run(std::string_view bytes) : input_(bytes), directory_(scratch() / "operations") {
    std::filesystem::remove_all(directory_);
    Store::create(directory_, small_options());
    open();
  }
  ~Run() { fault::disarm_all(); }

  void go() {
    for (int step = 0; step < 64 && !input_.empty(); ++step) {
      const unsigned what = input_.byte();
      if (what % 8 == 0) {
        arm();
      } else if (what % 8 == 1) {
        reopen();
      } else if (what % 8 == 2) {
        accepted([&] { store_->checkpoint(); });
      } else if (what % 8 == 3) {
        check();
      } else {
        commit();
      }
    }
    reopen();
    const VerifyReport report = store_->verify();
    expect(report.ok(), "the store verifies");
  }

 private:
  void open() { store_ = Store::open(directory_, small_options()); }

  void arm() {
    const char* name = kFaults[input_.byte() % std::size(kFaults)];
    const int error = input_.byte() % 2 == 0 ? EIO : ENOSPC;
    fault::arm(name, {.fail_with = error, .skip = input_.byte() % 8});
  }

  void commit() {
    Model after = model_;
    WriteSet set;
    std::string text;
    for (unsigned i = 0, end = 1 + input_.byte() % 4; i < end; ++i) {
      const std::string key = "k" + std::to_string(input_.byte() % 16);
      if (input_.byte() % 4 == 0) {
        set.del(key);
        after.state.erase(key);
      } else {
        const std::string value(input_.word() % 5000, static_cast<char>('a' + input_.byte() % 26));
        set.put(key, value);
        after.state[key] = value;
      }
    }
    if (input_.byte() % 2 == 0) {
      text = "event " + std::to_string(after.events.size() + 1);
      set.append({.type = "t", .tags = {}, .payload = text});
      after.events.push_back(text);
    }
    try {
      store_->submit(std::move(set)).value().wait();
      model_ = std::move(after);
    } catch (const Error&) {
      in_doubt_ = std::move(after);
      reopen();
    }
  }

  // What failed before may or may not have happened, but nothing in between.
  void reopen() {
    fault::disarm_all();
    store_.reset();
    open();
    if (in_doubt_ && read() == *in_doubt_) model_ = *in_doubt_;
    in_doubt_.reset();
    check();
  }

  Model read() const {
    Model found;
    const ReadTxn snapshot = store_->read();
    for (auto [key, value] : snapshot.scan()) found.state.emplace(key, value);
    for (const EventView& event : snapshot.events()) found.events.emplace_back(event.payload());
    return found;
  }
  void check() const { expect(read() == model_, "the store is what the model is"); }

  Input input_;
  const std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  Model model_;
  std::optional<Model> in_doubt_;
};

AZOTH_FUZZ(operations, "whatever fails, a store has what was acknowledged, and each commit wholly or not at all") {
  Run(input).go();
}

}  // namespace
}  // namespace azoth::proof
