// Every file of a store is damaged in every way that mutation.h knows. What is live must be found by verify, and by a
// full backup, which must neither crash nor hang; what nobody finds must read as before, and be restored as it was.
#include <gtest/gtest.h>

#include <iostream>

#include "mutation.h"
#include "subject.h"
#include "support/child_process.h"
#include "support/copy_store.h"
#include "support/invariants.h"
#include "support/memory_dir.h"
#include "support/temp_dir.h"

namespace azoth::proof {
namespace {

class StoreCorruption : public testing::TestWithParam<Ending> {
 protected:
  StoreCorruption() {
    test::ChildProcess maker([&] { make(); });  // the threads of a store do not survive a fork
    maker.wait();
    if (!maker.succeeded()) throw std::runtime_error("making the store failed");
    files_ = read_files(place("now"));
    before_ = read_files(place("before"));
    std::filesystem::copy(place("now"), place("opened"), std::filesystem::copy_options::recursive);
    test::ChildProcess reader([&] {
      Db db = Db::open_read_only(place("opened"), small_options());
      make_files(place("content"), {{"all", Content::of(db)}});
    });
    reader.wait();
    content_ = {read_files(place("content")).at("all"), read_files(place("history")).at("text")};
  }

  void make() {
    auto copy = [&](const char* name) { test::copy_store(place("store"), place(name)); };
    const std::string history = make_subject(
        place("store"), GetParam(), [&](Db&) { copy("before"); },
        [&](Db& db) {
          if (GetParam() == Ending::Closed) db.close();
          copy("now");
        });
    make_files(place("history"), {{"text", history}});
  }

  std::filesystem::path place(const std::string& name) const { return dir_.path() / name; }

  void try_mutations(const std::string& prefix, std::uint64_t count) {
    const Mutator mutator(files_, before_, prefix);
    expect_found({.directory = place("damaged"),
                  .files = files_,
                  .make = [&](std::uint64_t n) { return mutator.make(n); },
                  .judge = [&](const auto& directory) { return judge_reading(directory, content_); }},
                 count, "verified");
    expect_found({.directory = place("opened"),
                  .files = files_,
                  .make = [&](std::uint64_t n) { return mutator.make(n); },
                  .judge = [&](const auto& directory) { return judge_writing(directory, content_); },
                  .judge_writes = true},
                 count / 10, "opened for writing");
    expect_found(
        {.directory = place("backed-up"),
         .files = files_,
         .make = [&](std::uint64_t n) { return mutator.make(n); },
         .judge = [&](const auto& directory) { return judge_backing_up(directory, scratch_.path(), content_); },
         .judge_writes = true},
        count / 4, "backed up");
  }

  // Whatever can be kept is a prefix of the history, and a store that works.
  Outcome judge_repairing(const std::filesystem::path& directory) const {
    try {
      Db::repair(directory, small_options(), {.accept_loss = true});
      Db db = Db::open(directory, small_options());
      const std::string moment = Content::moment_of(db);
      const bool was_so = content_.all.starts_with(moment) || content_.history.find(moment) != std::string::npos;
      if (!was_so) return Outcome::Wrong;
      db.close();
    } catch (const Error&) {
      return Outcome::Found;
    }
    test::Promises promises;
    promises.may_have_dead_damage = true;
    const test::Violations found = test::check({.store = directory, .options = small_options()}, promises);
    if (!found.empty()) std::cout << found.text() << std::endl;
    return found.empty() ? Outcome::Shorter : Outcome::Wrong;
  }

  void expect_found(const Trial& trial, std::uint64_t count, const char* what) const {
    std::cout << what << '\n';
    expect_found(trial.run(first_mutation(), mutations(count)));
  }
  void expect_found(const Tally& tally) const {
    std::cout << tally.table();
    if (GetParam() == Ending::Closed) {
      EXPECT_EQ(tally.count(Outcome::Shorter), 0u);
    }
    for (const std::string& bad : tally.bad) ADD_FAILURE() << bad;
  }

  test::TempDir dir_;
  test::MemoryDir scratch_;
  Files files_;
  Files before_;
  Content content_;
};

TEST_P(StoreCorruption, IsFoundInLmdb) { try_mutations("canonical/data.mdb", 6000); }
TEST_P(StoreCorruption, IsFoundInTheJournal) { try_mutations("journal/", 2500); }
TEST_P(StoreCorruption, IsFoundInAnyFile) { try_mutations("", 1500); }
TEST_P(StoreCorruption, IsFoundInTheIdentity) { try_mutations("identity", 300); }

// Each byte of what LMDB reads first, changed in three ways.
TEST_P(StoreCorruption, IsFoundInEveryByteOfTheMetaPages) {
  constexpr std::size_t kUsed = 152;
  auto make = [&](std::uint64_t number) {
    Mutation mutation{"meta pages", "byte " + std::to_string(number), files_};
    const std::size_t at = number / 3 % kUsed + (number / 3 / kUsed) * 4096;
    char& byte = mutation.files.at("canonical/data.mdb").at(at);
    byte = static_cast<char>(number % 3 == 0 ? byte ^ 1 : number % 3 == 1 ? byte ^ 0x80 : ~byte);
    return mutation;
  };
  const Trial trial{.directory = place("damaged"), .files = files_, .make = make, .judge = [&](const auto& directory) {
                      return judge_reading(directory, content_);
                    }};
  expect_found(trial.run(0, 2 * kUsed * 3));
}

TEST_P(StoreCorruption, OfTheJournalIsRepairedToAPrefix) {
  const Mutator mutator(files_, before_, "journal/");
  const Trial trial{.directory = place("repaired"),
                    .files = files_,
                    .make = [&](std::uint64_t n) { return mutator.make(n); },
                    .judge = [&](const auto& directory) { return judge_repairing(directory); },
                    .judge_writes = true,
                    .undamaged = Outcome::Shorter};
  const Tally tally = trial.run(first_mutation() + 200'000, mutations(200));
  std::cout << tally.table();
  EXPECT_GT(tally.count(Outcome::Shorter), 0u);
  for (const std::string& bad : tally.bad) {
    if (!bad.starts_with("TOUCHED")) ADD_FAILURE() << bad;  // what cannot be repaired may have been begun
  }
}

INSTANTIATE_TEST_SUITE_P(Ending, StoreCorruption, testing::Values(Ending::Killed, Ending::Closed),
                         [](const auto& test) { return test.param == Ending::Killed ? "Killed" : "Closed"; });

}  // namespace
}  // namespace azoth::proof
