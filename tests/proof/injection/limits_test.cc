// Limits of the process and of the system, each met somewhere in the middle of a workload: there is an azoth::Error or
// none, no false success, no hang, no signal, and without the limit everything that was acknowledged is there.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "proof_case.h"
#include "support/child_process.h"

namespace azoth::inject {
namespace {

void limit(decltype(RLIMIT_FSIZE) resource, rlim_t to) {
  const rlimit value{to, to};
  if (setrlimit(resource, &value) != 0) throw_errno(errno, "setting a limit");
}

class Limits : public ProofCase {
 protected:
  void run_under(const std::string& what, const std::function<void()>& setup) {
    const std::string problem = runner_.run_under(GetParam(), setup);
    note(problem.empty() ? "" : what + ": " + problem);
    met_ += runner_.last_met_an_error();
  }

  std::size_t met_ = 0;  // runs with an error
};

TEST_P(Limits, OfTheSizeOfAFile) {
  for (rlim_t size = 512; size <= 512 << 10 && !enough(); size = size * 3 / 2) {
    run_under("files of at most " + std::to_string(size) + " bytes", [size] {
      std::signal(SIGXFSZ, SIG_IGN);  // the program's to do, and the command line's does
      limit(RLIMIT_FSIZE, size);
    });
  }
  EXPECT_EQ(met_ > 0, GetParam() != "reading") << "who only reads makes no file larger";
}

TEST_P(Limits, OfOpenFiles) {
  const int open_now = dup(0);
  close(open_now);
  for (int more = 0; more <= 24 && !enough(); ++more) {
    run_under(std::to_string(more) + " files more",
              [&] { limit(RLIMIT_NOFILE, static_cast<rlim_t>(open_now + more)); });
  }
  EXPECT_GT(met_, 0u);
}

TEST_P(Limits, OfAddressSpace) {
  for (rlim_t more : {1, 2, 4, 8, 9, 10, 12, 16, 20, 24, 32, 48, 64, 80, 96, 128, 256}) {
    run_under(std::to_string(more) + " MiB more", [&] {
      rlim_t pages = 0;
      std::ifstream("/proc/self/statm") >> pages;
      limit(RLIMIT_AS, pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (more << 20));
    });
  }
  EXPECT_GT(met_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Workloads, Limits, testing::ValuesIn(names()), name_of_case);

// --- What is in the way

class InTheWay : public testing::Test {
 protected:
  InTheWay() {
    test::ChildProcess child([&] {
      Db db = Db::create(store(), patient_options());
      WriteSet set;
      set.put("key", "value");
      db.submit(std::move(set))->wait();
      db.backup(set_directory());
    });
    child.wait();
    EXPECT_TRUE(child.succeeded());
    std::ofstream(victim()) << "precious";
  }

  std::filesystem::path store() const { return directory_.path() / "store"; }
  std::filesystem::path set_directory() const { return directory_.path() / "set"; }
  std::filesystem::path victim() const { return directory_.path() / "victim"; }

  // In a process of its own, with an alarm: an Error, and nothing else.
  static void expect_error(const std::function<void()>& body) {
    test::ChildProcess child([&] {
      alarm(30);
      try {
        body();
      } catch (const Error& error) {
        _exit(error.what()[0] != 0 ? 0 : 3);
      }
      std::fprintf(stderr, "no error was thrown\n");
      _exit(2);
    });
    child.wait();
    EXPECT_TRUE(child.succeeded());
  }

  void replace(const std::filesystem::path& name, const std::string& by) const {
    const std::filesystem::path path = store() / name;
    std::filesystem::rename(path, directory_.path() / "aside");
    if (by == "symlink") std::filesystem::create_symlink(victim(), path);
    if (by == "directory") std::filesystem::create_directory(path);
    const bool made = by != "pipe" || mkfifo(path.c_str(), 0600) == 0;
    ASSERT_TRUE(made);
  }
  void put_back(const std::filesystem::path& name) const {
    std::filesystem::remove(store() / name);
    std::filesystem::rename(directory_.path() / "aside", store() / name);
  }

 private:
  test::TempDir directory_;
};

TEST_F(InTheWay, OfAFileOfTheStoreIsRefusedAndLeftAlone) {
  for (const char* name : {"identity", "lock", "canonical/data.mdb", "canonical/lock.mdb"}) {
    for (const char* by : {"symlink", "directory", "pipe"}) {
      SCOPED_TRACE(std::string(name) + " is a " + by);
      replace(name, by);
      expect_error([&] { Db::open(store(), quick_options()); });
      if (std::string(name) != "lock") expect_error([&] { Db::open_read_only(store(), quick_options()); });
      std::string left;
      std::ifstream(victim()) >> left;
      EXPECT_EQ(left, "precious");
      put_back(name);
    }
  }
  EXPECT_EQ(Db::open(store(), quick_options()).read().get("key"), "value");
}

// Which may be a spare, and is done without; what was committed is there either way.
TEST_F(InTheWay, OfASegmentOfTheJournalLosesNothing) {
  for (const char* by : {"symlink", "directory", "pipe"}) {
    SCOPED_TRACE(by);
    const auto segment = std::filesystem::directory_iterator(store() / "journal")->path();
    const auto name = segment.lexically_relative(store());
    replace(name, by);
    test::ChildProcess child([&] {
      alarm(30);
      try {
        Db db = Db::open(store(), quick_options());
      } catch (const Error&) {
      }
    });
    child.wait();
    EXPECT_TRUE(child.succeeded());
    std::string left;
    std::ifstream(victim()) >> left;
    EXPECT_EQ(left, "precious");
    put_back(name);
  }
  EXPECT_EQ(Db::open(store(), quick_options()).read().get("key"), "value");
}

bool become_nobody() { return setgid(65534) == 0 && setuid(65534) == 0; }

// Not root in a container that has no other user.
bool can_become_nobody() {
  test::ChildProcess child([] { _exit(become_nobody() ? 0 : 1); });
  child.wait();
  return child.succeeded();
}

TEST_F(InTheWay, ADirectoryWithoutPermissionIsAnError) {
  if (!can_become_nobody()) GTEST_SKIP() << "only root can become somebody else, where there is somebody";
  chmod(store().parent_path().c_str(), 0755);
  const auto as_nobody = [](const std::function<void()>& body) {
    expect_error([&] {
      if (!become_nobody()) _exit(4);
      try {
        body();
      } catch (const Error& error) {
        if (error.code() == ErrorCode::NotFound) _exit(5);  // it is there
        throw;
      }
    });
  };
  as_nobody([&] { Db::open(store(), quick_options()); });
  as_nobody([&] { Db::open_read_only(store(), quick_options()); });
  as_nobody([&] { Db::create(store().parent_path() / "other", quick_options()); });
  as_nobody([&] { Db::repair(store(), quick_options()); });
  as_nobody([&] { Db::restore(set_directory(), store().parent_path() / "target"); });
  EXPECT_EQ(Db::open(store(), quick_options()).read().get("key"), "value");
}

// --- A full LMDB map

TEST(FullMap, RefusesWhatAddsTakesWhatDeletesAndKeepsAll) {
  test::TempDir directory;
  Options options = patient_options();
  options.map_bytes = std::size_t{1} << 20;
  const auto store = directory.path() / "store";
  Db db = Db::create(store, options);
  int taken = 0;
  std::optional<Error> full;
  while (!full && taken < 10'000) {
    try {
      WriteSet set;
      set.put("key/" + std::to_string(taken), std::string(2000, 'v'));
      db.submit(std::move(set))->wait();
      ++taken;
    } catch (const Error& error) {
      full = error;
    }
  }
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->code(), ErrorCode::NoSpace) << full->what();
  EXPECT_GT(taken, 20);
  for (int i = 0; i < taken; i += 2) {
    WriteSet set;
    set.del("key/" + std::to_string(i));
    EXPECT_NO_THROW(db.submit(std::move(set))->wait());
  }
  // To move scattered deletions to a full map takes more pages than there are: then they wait in the journal.
  try {
    db.close();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NoSpace) << error.what();
  }
  options.map_bytes = std::size_t{16} << 20;
  Db again = Db::open(store, options);
  for (int i = 0; i < taken; ++i) EXPECT_EQ(again.read().exists("key/" + std::to_string(i)), i % 2 == 1);
  EXPECT_TRUE(again.verify().ok());
}

}  // namespace
}  // namespace azoth::inject
