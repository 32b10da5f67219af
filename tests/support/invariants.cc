#include "invariants.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::test {

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : ", ") + line;
  return text;
}

std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace

// --- Violations

void Violations::attempt(int invariant, const std::string& doing, const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    require(invariant, false, doing + ": " + error.what());
  } catch (const std::exception& error) {
    require(10, false, doing + ": what was thrown is no azoth::Error: " + error.what());
  }
}

bool Violations::has(int invariant) const {
  return std::any_of(all_.begin(), all_.end(), [&](const Violation& each) { return each.invariant == invariant; });
}

std::string Violations::text() const {
  std::string text;
  for (const Violation& each : all_) {
    text += (text.empty() ? "I" : "; I") + std::to_string(each.invariant) + ": " + each.what;
  }
  return text;
}

// --- What the checker commits itself

Step probe_step() {
  Step step;
  step.puts.emplace_back("probe", "probe");
  step.events.push_back(
      {.type = "probe", .tags = {"probe:1"}, .payload = number(kProbeStep), .metadata = "", .time = {}});
  return step;
}

Projection tally(std::uint32_t version) {
  Projection projection("tally", version);
  projection.schema("CREATE TABLE tally (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)").batch({.events = 4});
  projection.on("*", [](const EventView& event, Sql& sql) {
    sql.run("INSERT INTO tally VALUES (?, ?)", static_cast<std::int64_t>(event.id()), event.payload());
  });
  return projection;
}

// --- The log

bool check_log(Db& db, const Promises& promises, Violations& found) {
  const std::vector<std::string> damage = db.status().recovery.damage;
  found.require(1, damage.empty() || promises.may_have_dead_damage, "damage was found: " + joined(damage));
  const VerifyReport report = db.verify();
  found.require(report.pages_whole ? 1 : 7, report.ok(), "verify: " + joined(report.problems));
  found.require(7, report.lost_pages == 0, number(report.lost_pages) + " pages of LMDB are lost");
  return report.pages_whole;
}

namespace {

// The steps that a log has, and with them what the store must hold.
class LogReader {
 public:
  LogReader(Db& db, const Promises& promises, Violations& found) : promises_(promises), found_(found) {
    const ReadTxn snapshot = db.read();
    for (const EventView& event : snapshot.events()) read(event);
    found_.require(4, snapshot.last_event() == model_.events().size(), "an event of a step is missing");
    Entries state;
    for (const auto& [key, value] : snapshot.scan()) state.emplace(key, value);
    found_.require(2, state == model_.state(), "the state is not that of the steps that are there");
    found_.require(2, db.digest() == model_.digest(), "the digest is not that of the steps that are there");
  }

  void check_steps() {
    for (const auto& [commit, step] : order_) {
      if (step == kProbeStep) continue;
      const std::string name = "step " + number(static_cast<std::uint64_t>(step));
      found_.require(4, steps_.insert(step).second, name + " is there twice");
      found_.require(6, !promises_.submitted || promises_.submitted->contains(step), name + " was never submitted");
    }
    if (promises_.step_before) check_no_hole();
  }

  void check_acknowledged() {
    for (const auto& [commit, step] : promises_.acknowledged) {
      const std::string name = "commit " + number(commit) + " (step " + number(static_cast<std::uint64_t>(step)) + ")";
      const auto at = order_.find(commit);
      found_.require(3, at != order_.end(), name + " was acknowledged and is lost");
      found_.require(3, at == order_.end() || at->second == step, name + " was acknowledged and is another one");
    }
  }

 private:
  using Entries = std::map<std::string, std::string>;

  void read(const EventView& event) {
    const int step = std::atoi(std::string(event.payload()).c_str());
    const auto [at, is_new] = order_.emplace(event.commit_seq(), step);
    if (is_new) {
      found_.require(4, model_.events().size() + 1 == event.id(),
                     "an event of a step is missing before event " + number(event.id()));
      model_.apply(step == kProbeStep ? probe_step() : promises_.steps(step));
    }
    const std::string name = "event " + number(event.id());
    found_.require(4, at->second == step, name + " is of another step than others of its commit");
    if (event.id() > model_.events().size()) return found_.require(4, false, name + " is more than its step has");
    const Step::OneEvent& expected = model_.events()[event.id() - 1];
    const bool same =
        event.payload() == expected.payload && event.type() == expected.type && event.metadata() == expected.metadata;
    found_.require(2, same, name + " is not as its step has it");
  }

  // Each client's steps are in its own order, and none of them is missing in between.
  void check_no_hole() {
    for (int step : steps_) {
      const int before = promises_.step_before(step);
      found_.require(4, before == 0 || steps_.contains(before),
                     "step " + std::to_string(step) + " is there, and what was in the order before it is not: step " +
                         std::to_string(before));
    }
  }

  const Promises& promises_;
  Violations& found_;
  Model model_;
  Order order_;
  std::set<int> steps_;
};

void check_history(Db& db, const History& history, CommitSeq last, Violations& found) {
  if (last > history.last()) {
    return found.require(4, false,
                         "the store ends with commit " + number(last) + ", and there were " + number(history.last()));
  }
  const History::Moment& moment = history.at(last);
  found.require(2, db.digest() == moment.digest, "the content at commit " + number(last) + " is wrong");
  found.require(1, db.read().last_event() == moment.last_event, "the number of events is wrong");
}

}  // namespace

void check_content(Db& db, const Promises& promises, Violations& found) {
  const CommitSeq last = db.meta().last_commit;
  found.require(3, last >= promises.durable,
                "commit " + number(promises.durable) + " was acknowledged, and the store ends with " + number(last));
  if (promises.history != nullptr) return check_history(db, *promises.history, last, found);
  if (promises.steps == nullptr) return;
  LogReader log(db, promises, found);
  log.check_steps();
  log.check_acknowledged();
}

// --- Words that were given

void check_sequences(Db& db, const Promises& promises, Violations& found) {
  for (const auto& [name, next] : promises.sequences) {
    found.require(4, db.peek_sequence(name) >= next, "numbers of " + name + " will be handed out twice");
  }
}

// A request that was acknowledged and is sent again changes nothing.
void check_commands(Db& db, const std::map<std::string, CommitSeq>& commands, Violations& found) {
  for (const auto& [id, commit] : commands) {
    const CommitInfo info = db.submit(probe_step().set(), {}, {.command = Command{.id = id}})->wait();
    found.require(
        4, info.already_applied && info.commit_seq == commit,
        "command " + id + " was carried out in commit " + number(commit) + " and is now in " + number(info.commit_seq));
  }
}

namespace {

void expect_refused(Db& db, ErrorCode code, const std::string& what, Violations& found) {
  const CommitSeq before = db.meta().last_commit;
  try {
    (void)db.submit(probe_step().set());
    found.require(11, false, what + " was written to");
  } catch (const Error& error) {
    found.require(11, error.code() == code, what + " refuses with another error: " + error.what());
  }
  found.require(11, db.meta().last_commit == before, what + " has got a commit");
}

}  // namespace

void check_seal(Db& db, Promises::Seal seal, Violations& found) {
  const bool sealed = db.meta().sealed_event.has_value();
  if (sealed) found.require(11, seal != Promises::Seal::Open, "it is sealed and should not be");
  if (!sealed) found.require(11, seal != Promises::Seal::Sealed, "it is not sealed any more");
  if (!sealed) return;
  expect_refused(db, ErrorCode::Sealed, "a sealed store", found);
  db.unseal();
}

void check_pause(Db& db, Violations& found) {
  const Pause pause = db.pause("checker");
  expect_refused(db, ErrorCode::Paused, "a paused store", found);
}

CommitSeq check_writing(Db& db, const Promises& promises, Violations& found) {
  const CommitSeq before = db.meta().last_commit;
  for (const auto& [name, next] : promises.sequences) {
    found.require(4, db.next_sequence(name) >= next, "a number of " + name + " was handed out twice");
  }
  const CommitInfo info = db.submit(probe_step().set())->wait();
  found.require(4, info.commit_seq > before && info.commit_seq <= before + 1 + promises.sequences.size(),
                "the next commit has a wrong number");
  found.require(3, db.read(Durability::Durable).get("probe") == "probe", "what was written cannot be read");
  return info.commit_seq;
}

// --- Projections

namespace {

void check_rows(Db& db, EventId through, Violations& found) {
  const ReadTxn snapshot = db.read(Durability::Durable);
  auto events = snapshot.events({.to = through});
  auto event = events.begin();
  EventId id = 0;
  for (const SqlRow& row : db.sql("tally", "SELECT id, payload FROM tally ORDER BY id")) {
    const std::string name = "event " + number(++id);
    if (event == events.end()) return found.require(5, false, "the projection is ahead of its cursor with " + name);
    found.require(5, row.int64(0) == static_cast<std::int64_t>(id), "the projection misses " + name);
    found.require(5, row.text(1) == (*event).payload(), "the projection is wrong about " + name);
    ++event;
  }
  found.require(5, id == through, "the projection ends at event " + number(id) + " and says " + number(through));
}

}  // namespace

void check_projections(Db& db, const Promises& promises, std::uint32_t version, Violations& found) {
  const EventId last = db.read(Durability::Durable).last_event();
  bool is_there = false;
  bool is_outdated = false;
  for (const ProjectionInfo& info : db.projections().inspect()) {
    found.require(5, !info.problem, "the projection's tables cannot be believed: " + info.problem.value_or(""));
    found.require(5, info.cursor <= last, "the projection is ahead of the log");
    if (info.name != "tally" || info.generation == 0) continue;
    is_there = true;
    is_outdated = info.version != version;
    if (!info.problem) check_rows(db, info.cursor, found);
  }
  found.require(5, is_there || !promises.projected, "the projection's tables are gone");
  db.projections().add(tally(version));
  const std::string reason = db.projections().status("tally").rebuilt_because.value_or("");
  found.require(5, reason.empty() || is_outdated, "the projection is built anew: " + reason);
  db.projections().catch_up("tally");
  check_rows(db, last, found);
}

// --- Snapshot sets

namespace {

// Restores the newest snapshot, into a place that must not be there yet.
void check_restore(const SetPlace& place, const std::filesystem::path& target, const Promises& promises,
                   CommitSeq at_least, Violations& found) {
  const CommitSeq commit = Db::restore(place.set, target, {.threads = 1, .store = place.options}).commit;
  found.require(8, commit >= at_least, "the newest snapshot is not what is restored");
  Promises of_target;
  of_target.steps = promises.steps;
  of_target.history = promises.history;
  of_target.submitted = promises.submitted;
  of_target.durable = commit;
  for (const auto& [number, step] : promises.acknowledged) {
    if (number <= commit) of_target.acknowledged[number] = step;
  }
  Db db = Db::open(target, place.options);
  Violations of_restored;
  check_content(db, of_target, of_restored);
  found.require(8, of_restored.empty(), "what is restored is wrong: " + of_restored.text());
  db.close();
}

CommitSeq newest(const std::map<std::uint64_t, CommitSeq>& snapshots) {
  return snapshots.empty() ? 0 : snapshots.rbegin()->second;
}

void check_published(const backup::SetReport& report, const Promises& promises, Violations& found) {
  found.require(8, report.problems.empty(), "the snapshot set: " + joined(report.problems));
  std::map<std::uint64_t, CommitSeq> published;
  for (const auto& snapshot : report.snapshots) {
    found.require(8, snapshot.problems.empty(),
                  "snapshot " + number(snapshot.ordinal) + ": " + joined(snapshot.problems));
    if (snapshot.manifest) published[snapshot.ordinal] = snapshot.manifest->last_commit;
  }
  for (const auto& [ordinal, commit] : promises.snapshots) {
    const auto at = published.find(ordinal);
    const std::string name = "snapshot " + number(ordinal);
    found.require(8, at != published.end(), name + " was published and is gone");
    found.require(8, at == published.end() || at->second == commit, name + " is another one");
  }
}

}  // namespace

void check_set(const SetPlace& place, const Promises& promises, bool restores, Violations& found) {
  backup::SetReport report;
  try {
    report = Db::verify_backup(place.set, {.restore = false, .threads = 1, .store = place.options});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NotFound && promises.snapshots.empty()) return;
    return found.require(8, false, std::string("the snapshot set: ") + error.what());
  }
  if (report.snapshots.empty() && promises.snapshots.empty()) return;  // which is a problem, but was so before
  check_published(report, promises, found);
  if (!restores || promises.snapshots.empty()) return;
  found.attempt(8, "restoring",
                [&] { check_restore(place, place.scratch / "newest", promises, newest(promises.snapshots), found); });
}

void check_next_snapshot(Db& db, const SetPlace& place, const Promises& promises, Violations& found) {
  const CommitSeq last = db.meta().last_commit;
  const std::string digest = db.digest();
  const backup::BackupReport taken = db.backup(place.set, place.backup);
  found.require(8, taken.snapshot.manifest->last_commit >= last, "a snapshot misses commits");
  for (const auto& snapshots : {promises.snapshots, promises.may_be_gone}) {
    found.require(8, snapshots.empty() || taken.snapshot.ordinal > snapshots.rbegin()->first,
                  "an ordinal was used twice");
  }
  const std::filesystem::path target = place.scratch / "next";
  Db::restore(place.set, target, {.threads = 1, .store = place.options});
  Db restored = Db::open(target, place.options);
  found.require(8, restored.digest() == digest, "a snapshot that was taken now restores to something else");
  restored.close();
}

// --- What is left behind

namespace {

std::size_t entries_in(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

// The system lists a thread for a moment longer than it can be joined, and long if it has much else to do; the thread
// sanitizer begins one of its own.
std::size_t threads_left(std::size_t expected) {
#ifdef __SANITIZE_THREAD__
  return expected;
#endif
  std::size_t threads = entries_in("/proc/self/task");
  for (int i = 0; threads > expected && i < 30'000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    threads = entries_in("/proc/self/task");
  }
  return threads;
}

}  // namespace

Quiet::Quiet(std::filesystem::path store)
    : store_(std::filesystem::weakly_canonical(store)), threads_(entries_in("/proc/self/task")) {}

void Quiet::check(Violations& found) const {
  for (const auto& descriptor : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the one that reads this directory
    const std::string path = std::filesystem::read_symlink(descriptor.path(), gone).string();
    found.require(9, gone || !path.starts_with(store_.string() + "/"), path + " is still open");
  }
  const std::size_t threads = threads_left(threads_);
  found.require(9, threads <= threads_, number(threads) + " threads, and before there were " + number(threads_));
  found.require(9, !std::filesystem::exists(store_ / "creating"), "something is left of the store's creation");
}

// --- Answers

const char* wrong_answer_to_submit(const Error* error, bool is_bulk, bool had_failed) {
  if (error == nullptr) return had_failed ? "I12: a store that has failed has taken a commit" : nullptr;
  if (error->outcome_unknown() && !is_bulk) return "I10: what was refused is said to be in doubt: ";
  return nullptr;
}

const char* wrong_answer_to_wait(const Error* error) {
  const bool right = error == nullptr || (error->code() == ErrorCode::StoreFailed && error->outcome_unknown());
  return right ? nullptr : "I10: a lost commit ended with: ";
}

// --- All of them

namespace {

class Check {
 public:
  Check(const Subject& subject, const Promises& promises) : subject_(subject), promises_(promises) {}

  Violations run() {
    found_.attempt(1, "looking for the store", [&] { find(); });
    const Quiet quiet(subject_.store);
    std::string digest;
    found_.attempt(1, "opening", [&] { digest = first(); });
    found_.attempt(9, "after closing", [&] { quiet.check(found_); });
    if (found_.empty()) found_.attempt(1, "opening it again", [&] { again(digest); });
    return std::move(found_);
  }

 private:
  void find() {
    if (!subject_.may_be_missing || Store::exists(subject_.store)) return;
    const bool nothing_promised = promises_.durable == 0 && promises_.acknowledged.empty();
    found_.require(3, nothing_promised, "the store is gone");
    Db::create(subject_.store, subject_.options).close();
  }

  std::string first() {
    Db db = Db::open(subject_.store, subject_.options);
    const auto each = [&](int invariant, const char* doing, auto what) { found_.attempt(invariant, doing, what); };
    bool readable = false;
    each(1, "verifying", [&] { readable = check_log(db, promises_, found_); });
    if (!readable) return "";
    each(2, "reading", [&] { check_content(db, promises_, found_); });
    each(4, "reading the sequences", [&] { check_sequences(db, promises_, found_); });
    each(11, "the seal", [&] { check_seal(db, promises_.seal, found_); });
    each(11, "pausing", [&] { check_pause(db, found_); });
    each(4, "repeating commands", [&] { check_commands(db, promises_.commands, found_); });
    if (subject_.has_projection) {
      each(5, "the projections", [&] { check_projections(db, promises_, subject_.projection_version, found_); });
    }
    each(3, "writing", [&] { check_writing(db, promises_, found_); });
    found_.require(9, db.status().readers == 0, "a snapshot is still alive");
    const std::string digest = db.digest();
    db.close();
    return digest;
  }

  void again(const std::string& digest) {
    Db db = Db::open(subject_.store, subject_.options);
    found_.require(3, db.digest() == digest, "what was written is gone after a clean close");
    check_log(db, promises_, found_);
    db.close();
  }

  const Subject& subject_;
  const Promises& promises_;
  Violations found_;
};

}  // namespace

Violations check(const Subject& subject, const Promises& promises) { return Check(subject, promises).run(); }

}  // namespace azoth::test
