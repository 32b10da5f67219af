// Every file of a snapshot set, with a key and without, damaged in every way that mutation.h knows: verify_backup finds
// it, or the set still restores to the same content.
#include <gtest/gtest.h>

#include <iostream>

#include "mutation.h"
#include "subject.h"
#include "support/child_process.h"
#include "support/temp_dir.h"

namespace azoth::proof {
namespace {

std::string restored_content(Db& db) { return db.digest() + " " + std::to_string(db.meta().last_commit); }

class SetCorruption : public testing::TestWithParam<bool> {
 protected:
  SetCorruption() {
    test::ChildProcess maker([&] { make(); });
    maker.wait();
    if (!maker.succeeded()) throw std::runtime_error("making the set failed");
    files_ = read_files(place("set"));
    before_ = read_files(place("before"));
    content_ = read_files(place("content")).at("text");
  }

  void make() {
    auto back_up = [&](Db& db, bool incremental) {
      db.backup(place("set"), {.incremental = incremental, .shards = 2, .threads = 1, .key = key()});
    };
    make_subject(
        place("store"), Ending::Killed,
        [&](Db& db) {
          back_up(db, false);
          db.submit(WriteSet().put("between", "two")).value().wait();
          back_up(db, true);
          std::filesystem::copy(place("set"), place("before"), std::filesystem::copy_options::recursive);
        },
        [&](Db& db) {
          back_up(db, false);
          db.submit(WriteSet().put("at the", "end")).value().wait();
          back_up(db, true);
          make_files(place("content"), {{"text", restored_content(db)}});
        });
  }

  std::filesystem::path place(const std::string& name) const { return dir_.path() / name; }
  const backup::Key* key() const { return GetParam() ? &key_ : nullptr; }

  Outcome judge(const std::filesystem::path& set) const {
    try {
      const auto report = Db::verify_backup(set, {.restore = false, .key = key(), .threads = 1});
      if (!report.ok() || !report.unfinished.empty()) return Outcome::Found;
    } catch (const Error&) {
      return Outcome::Found;
    }
    return restores(set) ? Outcome::Same : Outcome::Wrong;
  }

  bool restores(const std::filesystem::path& set) const {
    bool same = false;
    try {
      Db::restore(set, place("restored"), {.key = key(), .threads = 1, .store = small_options()});
      Db db = Db::open_read_only(place("restored"), small_options());
      same = restored_content(db) == content_;
    } catch (const Error&) {
    }
    std::filesystem::remove_all(place("restored"));
    return same;
  }

  void try_mutations(const std::string& prefix, std::uint64_t count) {
    const Mutator mutator(files_, before_, prefix);
    const Trial trial{.directory = place("damaged"),
                      .files = files_,
                      .make = [&](std::uint64_t n) { return mutator.make(n); },
                      .judge = [&](const auto& directory) { return judge(directory); }};
    const Tally tally = trial.run(first_mutation(), mutations(count));
    std::cout << tally.table();
    for (const std::string& bad : tally.bad) ADD_FAILURE() << bad;
  }

  test::TempDir dir_;
  backup::Key key_ = backup::Key::random();
  Files files_;
  Files before_;
  std::string content_;
};

TEST_P(SetCorruption, IsFoundInSnapshots) { try_mutations("snapshot_", 1200); }
TEST_P(SetCorruption, IsFoundInManifests) { try_mutations("manifest_", 500); }
TEST_P(SetCorruption, IsFoundInAnyFile) { try_mutations("", 800); }

INSTANTIATE_TEST_SUITE_P(Key, SetCorruption, testing::Bool(),
                         [](const auto& test) { return test.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace azoth::proof
