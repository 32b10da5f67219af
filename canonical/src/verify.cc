#include "verify.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "azoth/canonical/retention.h"
#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "bulk_rows.h"
#include "commands.h"
#include "commit_log.h"
#include "recovery.h"
#include "retained_journal.h"
#include "sequences.h"
#include "store_impl.h"

namespace azoth {

namespace {

// A damaged store may have millions of damaged rows; the first of them say enough.
constexpr std::size_t kMostProblems = 100;
constexpr std::uint64_t kProgressEvery = 10'000;

class TableVerifier {
 public:
  TableVerifier(const Snapshot& snapshot, VerifyReport& report, const Progress& progress)
      : snapshot_(snapshot), report_(report), progress_(progress), head_(snapshot.head()) {
    total_ = head_.state_keys + head_.last_event + head_.tag_entries;
    report_.commits = head_.last_commit;
  }

  void run() {
    verify_system();
    verify_state();
    verify_events();
    verify_tags();
    verify_sums();
  }

 private:
  void problem(const std::string& what) {
    if (report_.problems.size() < kMostProblems) report_.problems.push_back(what);
    if (report_.problems.size() == kMostProblems) report_.problems.push_back("more problems are not listed");
  }

  // Runs a check that throws Corruption, and notes what it says.
  template <class Check>
  void note(Check check) {
    try {
      check();
    } catch (const Error& error) {
      if (!error.corruption()) throw;
      problem(error.what());
    }
    if (++done_ % kProgressEvery == 0 && progress_) progress_(done_, total_);
  }

  void verify_system() {
    LmdbCursor row = snapshot_.lmdb().cursor(Table::System);
    for (bool more = row.first(); more; more = row.next()) {
      note([&] {
        std::string_view value = snapshot_.rows().value(row.key(), row.value(), true);
        if (is_own_space(row.key())) sums_.own += Rows::stored_checksum(row.value());
        verify_own_row(row.key(), value);
      });
    }
    note([&] { verify_lineage(snapshot_.rows().store(snapshot_.lmdb()).lineage); });
  }

  void verify_own_row(std::string_view key, std::string_view value) {
    if (key == Rows::head_key() || key == Rows::store_key()) return;
    const std::string_view name = key.substr(1);
    const auto is_in = [&](Space space) { return key.front() == static_cast<char>(space); };
    if (auto piece = bulk_piece(key)) {
      verify_bulk_piece(*piece);
    } else if (is_in(Space::Sequence)) {
      decode_block(name, value);
    } else if (is_in(Space::Command)) {
      verify_command("command " + printable(name), decode_command(name, value));
    } else if (is_in(Space::Meta) && name == kSealKey) {
      verify_seal(value);
    } else {
      problem("nobody knows the store's own row " + to_hex(key));
    }
  }

  // The commit that it names has just the events that it says.
  void verify_command(const std::string& name, const CommitInfo& info) {
    if (info.commit_seq == 0 || info.commit_seq > head_.last_commit) {
      return problem(name + " says that it was done by commit " + std::to_string(info.commit_seq));
    }
    if (info.time > head_.latest) problem(name + " was done at a time when nothing was");
    if (info.events == 0) return;
    const bool begins =
        commit_of(info.first_event) == info.commit_seq && commit_of(info.first_event - 1) != info.commit_seq;
    const bool ends =
        commit_of(info.last_event) == info.commit_seq && commit_of(info.last_event + 1) != info.commit_seq;
    if (!begins || !ends)
      problem(name + " says that it has appended events that commit " + std::to_string(info.commit_seq) + " has not");
  }

  std::optional<CommitSeq> commit_of(EventId id) const {
    auto row = snapshot_.lmdb().get(Table::Events, event_key(id));
    if (!row || row->size() < kEventPrefixBytes) return std::nullopt;
    return snapshot_.rows().event(id, *row, false).commit_seq();
  }

  void verify_seal(std::string_view value) {
    codec::Reader reader(value);
    const auto sealed = reader.read<EventId>();
    if (reader.failed() || !reader.rest().empty() || sealed != head_.last_event) {
      problem("the store is sealed with event " + std::to_string(sealed) + ", and the last one is " +
              std::to_string(head_.last_event));
    }
  }

  void verify_bulk_piece(const BulkPiece& piece) {
    const bool first = piece.number == 0 && piece.commit <= head_.last_commit;
    if (!first && (!previous_piece_ || piece != BulkPiece{previous_piece_->commit, previous_piece_->number + 1})) {
      problem("piece " + std::to_string(piece.number) + " of the bulk transaction " + std::to_string(piece.commit) +
              " does not belong where it is");
    }
    previous_piece_ = piece;
  }

  void verify_lineage(const Lineage& lineage) {
    CommitSeq fork = head_.last_commit;
    for (const Timeline& timeline : lineage) {
      if (timeline.fork > fork) problem("timeline " + timeline.id.text() + " begins behind its own end");
      fork = timeline.fork;
    }
  }

  void verify_state() {
    LmdbCursor row = snapshot_.lmdb().cursor(Table::State);
    std::string previous;
    for (bool more = row.first(); more; more = row.next()) {
      if (row.key() <= previous) problem("key " + printable(row.key()) + " is out of order");
      previous = row.key();
      note([&] { snapshot_.rows().value(row.key(), row.value(), true); });
      sums_.state += Rows::stored_checksum(row.value());
      ++report_.state_keys;
    }
    if (report_.state_keys != head_.state_keys) {
      problem("the state has " + std::to_string(report_.state_keys) + " keys and should have " +
              std::to_string(head_.state_keys));
    }
  }

  void verify_events() {
    LmdbCursor row = snapshot_.lmdb().cursor(Table::Events);
    CommitSeq previous_commit = 0;
    for (bool more = row.first(); more; more = row.next()) {
      EventId expected = ++report_.events;
      if (row.key().size() != 8 || codec::load_big(row.key().data()) != expected) {
        problem("where event " + std::to_string(expected) + " belongs there is a row with key " + to_hex(row.key()));
        return;
      }
      note([&] {
        sums_.events += Rows::stored_checksum(row.value());
        EventView event = snapshot_.rows().event(expected, row.value(), true);
        if (!event_codec::well_formed(event.body()))
          problem("event " + std::to_string(expected) + " cannot be decoded");
        else
          verify_event(event, previous_commit);
      });
    }
    if (report_.events != head_.last_event) {
      problem("the log has " + std::to_string(report_.events) + " events and should have " +
              std::to_string(head_.last_event));
    }
  }

  void verify_event(const EventView& event, CommitSeq& previous_commit) {
    std::string name = "event " + std::to_string(event.id());
    if (event.commit_seq() < previous_commit || event.commit_seq() > head_.last_commit) {
      problem(name + " says that it is of commit " + std::to_string(event.commit_seq()));
    }
    if (event.commit_time() > head_.latest) problem(name + " was committed at a time when nothing was");
    previous_commit = event.commit_seq();
    for (std::string_view tag : event.tags()) {
      ++expected_tags_;
      if (!snapshot_.lmdb().get(Table::Tags, tag_key(tag, event.id()))) {
        problem(name + " is missing in the index of tag " + printable(tag));
      }
    }
  }

  // Each tag of each event is in the index, so an index with as many entries has no others.
  void verify_tags() {
    LmdbCursor row = snapshot_.lmdb().cursor(Table::Tags);
    for (bool more = row.first(); more; more = row.next()) {
      note([] {});
      ++report_.tag_entries;
    }
    if (report_.tag_entries != expected_tags_ || report_.tag_entries != head_.tag_entries) {
      problem("the tag index has " + std::to_string(report_.tag_entries) + " entries, the events have " +
              std::to_string(expected_tags_) + " tags, and there should be " + std::to_string(head_.tag_entries));
    }
  }

  // Each row is right by itself; whether it is the newest of its key only the sums can tell.
  void verify_sums() {
    auto compare = [&](std::uint64_t found, std::uint64_t expected, const char* what) {
      if (found != expected)
        problem(std::string(what) +
                " are not those that were written last: the sum of their "
                "checksums is not the one that LMDB's head has");
    };
    compare(sums_.state, head_.sums.state, "the rows of the state");
    compare(sums_.events, head_.sums.events, "the events");
    compare(sums_.own, head_.sums.own, "the store's own rows");
  }

  const Snapshot& snapshot_;
  VerifyReport& report_;
  const Progress& progress_;
  const Head head_;
  RowSums sums_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t expected_tags_ = 0;
  std::optional<BulkPiece> previous_piece_;
};

}  // namespace

namespace {

// The snapshot of which they are whole, or nothing.
std::unique_ptr<Snapshot> verify_pages(const std::function<std::unique_ptr<Snapshot>()>& take, Environment& environment,
                                       VerifyReport& report) {
  std::unique_ptr<Snapshot> snapshot;
  std::optional<LmdbCheck> check;
  while (!check) {  // beside a writer that has committed twice since it was taken
    snapshot.reset();
    snapshot = take();
    check = environment.lmdb.check_pages(snapshot->lmdb());
  }
  report.pages = check->pages;
  report.lost_pages = check->lost;
  report.pages_whole = check->problems.empty();
  report.problems = check->problems;
  if (check->lost > 0) {
    report.notes.push_back(std::to_string(check->lost) + " pages of LMDB's file are neither in use nor free");
  }
  if (report.pages_whole) return snapshot;
  report.problems.push_back("what is in these pages, and the journal, was not looked at");
  return nullptr;
}

}  // namespace

void verify_store(const std::function<std::unique_ptr<Snapshot>()>& take, Environment& environment, FileSystem& fs,
                  const std::filesystem::path& journal, const JournalIdentity& identity, VerifyReport& report,
                  const Progress& progress) {
  std::unique_ptr<Snapshot> snapshot = verify_pages(take, environment, report);
  if (!snapshot) return;
  verify_tables(*snapshot, report, progress);
  verify_journal(fs, journal, identity, environment, report);
}

void verify_tables(const Snapshot& snapshot, VerifyReport& report, const Progress& progress) {
  TableVerifier(snapshot, report, progress).run();
}

// Beside a writer a batch may be read while it is being written, a segment while it is being recycled or begun, and a
// batch may tell of commits that got into LMDB since it was looked at; what is damaged stays so, in the same words,
// while LMDB stands still. A file that was there a moment ago and is not any more has been renamed: that the writer
// moves.
void verify_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                    Environment& environment, VerifyReport& report) {
  constexpr int kAttempts = 5;
  constexpr int kMoves = 1000;
  constexpr std::chrono::milliseconds kPause{1};
  int moves = 0;
  std::string said;
  auto lmdb_commit = [&] { return environment.rows.head(environment.lmdb.begin_read()).last_commit; };
  for (int attempt = 1;; ++attempt) {
    CommitSeq in_lmdb = lmdb_commit();
    try {
      JournalFiles files = list_journal(fs, directory, identity);
      ReplayPlan plan = plan_recovery(fs, directory, identity, files, in_lmdb, std::nullopt,
                                      last_not_bulk(environment.lmdb.begin_read(), in_lmdb), lmdb_commit);
      report.journal_segments = files.segments.size();
      report.journal_batches = plan.batches;
      report.notes.insert(report.notes.end(), plan.damage.begin(), plan.damage.end());
      return;
    } catch (const Error& error) {
      if (!error.corruption() && error.code() != ErrorCode::NotFound) throw;
      const bool other_words = std::exchange(said, error.what()) != error.what();
      const bool moving = other_words || lmdb_commit() != in_lmdb || error.code() == ErrorCode::NotFound;
      if (moving && ++moves < kMoves) attempt = 0;
      if (attempt < kAttempts) {
        std::this_thread::sleep_for(kPause);
        continue;
      }
      if (moves >= kMoves) {
        report.notes.push_back("the writer moves on too fast for its journal to be checked");
        return;
      }
      if (!error.corruption()) throw;
      report.problems.push_back(error.what());
      return;
    }
  }
}

void verify_registrations(FileSystem& fs, const std::filesystem::path& directory, const Uuid& timeline,
                          const std::function<CommitSeq()>& last_commit, VerifyReport& report) {
  std::vector<std::string> unreadable;
  const std::vector<RetainedSet> sets = Retention(directory, fs).list(&unreadable);
  const CommitSeq last = last_commit();  // behind the registrations, which are always of durable commits
  for (const std::string& why : unreadable) {
    report.problems.push_back(why + "; what it needs of the journal is not kept: take a full backup into that set");
  }
  for (const RetainedSet& set : sets) {
    if (set.timeline != timeline || set.commit <= last) continue;
    report.problems.push_back("snapshot set " + set.set_id.text() + " has commit " + std::to_string(set.commit) +
                              " of this store, and the store ends with " + std::to_string(last) +
                              ": it has lost commits; restore it from that set");
  }
  report.registered_sets = sets.size();
}

namespace {

// The last one of the commits up to this one.
EventId last_event_through(const Snapshot& snapshot, CommitSeq commit, EventId last) {
  EventId through = 0, from = last + 1;  // the last that is, the first that is not
  while (from - through > 1) {
    const EventId middle = through + (from - through) / 2;
    const std::optional<EventView> event = snapshot.lmdb_event(middle);
    if (!event) throw Error(ErrorCode::Corruption, "event " + std::to_string(middle) + " is missing");
    (event->commit_seq() <= commit ? through : from) = middle;
  }
  return through;
}

}  // namespace

void verify_kept_journal(FileSystem& fs, const StorePaths& paths, const JournalIdentity& identity,
                         const std::function<std::unique_ptr<Snapshot>()>& take, VerifyReport& report) {
  const Retention retention(paths.directory, fs);
  CommitSeq after = retained_behind(retention, identity);
  while (true) {
    const std::unique_ptr<Snapshot> snapshot = take();
    const Head head = snapshot->head();
    if (after >= head.last_commit) return;
    try {
      CommitLog(fs, paths.journal, identity, *snapshot)
          .read(after, last_event_through(*snapshot, after, head.last_event), head.last_commit,
                [](std::string_view, bool) {});
      return;
    } catch (const Error& error) {
      if (!error.corruption() && error.code() != ErrorCode::NotFound) throw;
      const CommitSeq now = retained_behind(retention, identity);
      if (std::exchange(after, now) != now) continue;  // a set has moved on or was given up, and the journal trimmed
      const std::string what = std::string(error.what()) + "; the next snapshot of a set that ends with commit " +
                               std::to_string(after) + " must be a full one";
      (error.corruption() ? report.problems : report.notes).push_back(what);
      return;
    }
  }
}

}  // namespace azoth
