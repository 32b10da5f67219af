// What only the real file system has: permissions, links, failing system calls, descriptors.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/file.h"
#include "support/temp_dir.h"

namespace {
thread_local int syncs_to_interrupt = 0;
}

// Stands before the C library's, because no signal can be made to come in the middle of it.
extern "C" int fdatasync(int fd) {
  if (syncs_to_interrupt == 0) return static_cast<int>(::syscall(SYS_fdatasync, fd));
  --syncs_to_interrupt;
  errno = EINTR;
  return -1;
}

namespace azoth {
namespace {

using testing::HasSubstr;
using Mode = FileSystem::Mode;
using Path = std::filesystem::path;

class PosixFiles : public testing::Test {
 protected:
  ~PosixFiles() override { fault::disarm_all(); }

  Path at(std::string_view name) const { return directory_.path() / name; }
  static mode_t mode_of(const Path& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777u : 0;
  }
  void put(std::string_view name, std::string_view content) { std::ofstream(at(name)) << content; }
  std::string get(std::string_view name) const {
    std::ifstream in(at(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names() { return fs_.list(directory_.path()); }
  // Network file systems and those that compress give a file no blocks before they are written.
  bool file_system_reserves_space() const {
    const Path probe = at("probe");
    const int fd = ::open(probe.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const bool reserves = ::fallocate(fd, 0, 0, 4096) == 0;
    ::close(fd);
    std::filesystem::remove(probe);
    return reserves;
  }

  FileSystem& fs_ = FileSystem::posix();
  test::TempDir directory_;
};

ErrorCode error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(PosixFiles, FilesAre0600AndDirectories0700) {
  const mode_t before = ::umask(0);
  fs_.open(at("f"), Mode::Create);
  fs_.make_directory(at("d"));
  create_zero_filled(fs_, at("zeros"), 100);
  write_file_atomically(fs_, at("atomic"), "x");
  ::umask(before);
  EXPECT_EQ(mode_of(at("f")), 0600u);
  EXPECT_EQ(mode_of(at("zeros")), 0600u);
  EXPECT_EQ(mode_of(at("atomic")), 0600u);
  EXPECT_EQ(mode_of(at("d")), 0700u);
}

TEST_F(PosixFiles, SymbolicLinksAreNotFollowed) {
  put("secret", "secret");
  std::filesystem::create_symlink(at("secret"), at("link"));
  std::filesystem::create_symlink(at("nowhere"), at("dangling"));
  for (Mode mode : {Mode::Read, Mode::Write}) {
    EXPECT_EQ(error_of([&] { fs_.open(at("link"), mode); }), ErrorCode::Io);
    EXPECT_THAT(message_of([&] { fs_.open(at("link"), mode); }), HasSubstr("symbolic links are not followed"));
  }
  EXPECT_EQ(error_of([&] { fs_.open(at("link"), Mode::Create); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(error_of([&] { fs_.open(at("dangling"), Mode::Create); }), ErrorCode::AlreadyExists);
  EXPECT_FALSE(fs_.exists(at("nowhere")));
  EXPECT_EQ(get("secret"), "secret");
}

TEST_F(PosixFiles, PipesAndDirectoriesAreNotOpenedAsFiles) {
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);  // to open one would wait for somebody who writes
  fs_.make_directory(at("d"));
  EXPECT_THAT(message_of([&] { fs_.open(at("pipe"), Mode::Read); }), HasSubstr("not a regular file"));
  EXPECT_EQ(error_of([&] { fs_.open(at("pipe"), Mode::Write); }), ErrorCode::Io);
  EXPECT_THAT(message_of([&] { fs_.open(at("d"), Mode::Read); }), HasSubstr("not a regular file"));
}

TEST_F(PosixFiles, ALinkToADirectoryIsNotTakenForOne) {
  fs_.make_directory(at("d"));
  std::filesystem::create_directory_symlink(at("d"), at("link"));
  EXPECT_EQ(error_of([&] { fs_.list(at("link")); }), ErrorCode::Io);
  EXPECT_EQ(error_of([&] { fs_.sync_directory(at("link")); }), ErrorCode::Io);
  EXPECT_EQ(error_of([&] { fs_.make_directory(at("link")); }), ErrorCode::AlreadyExists);
}

TEST_F(PosixFiles, RenamingOverALinkReplacesTheLink) {
  put("secret", "secret");
  std::filesystem::create_symlink(at("secret"), at("link"));
  write_file_atomically(fs_, at("link"), "new");
  EXPECT_EQ(get("secret"), "secret");
  EXPECT_FALSE(std::filesystem::is_symlink(at("link")));
  EXPECT_EQ(get("link"), "new");
}

TEST_F(PosixFiles, DescriptorsAreCloseOnExecAndClosed) {
  const auto open_descriptors = [] {
    std::set<int> result;
    for (int fd = 0; fd < 256; ++fd) {
      if (::fcntl(fd, F_GETFD) != -1) result.insert(fd);
    }
    return result;
  };
  const std::set<int> before = open_descriptors();
  {
    const auto file = fs_.open(at("f"), Mode::Create);
    for (int fd : open_descriptors()) {
      if (!before.contains(fd)) {
        EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
      }
    }
    EXPECT_EQ(open_descriptors().size(), before.size() + 1);
  }
  fs_.list(at(""));
  fs_.sync_directory(at(""));
  EXPECT_THROW(fs_.list(at("f")), Error);
  EXPECT_THROW(fs_.open(at("f"), Mode::Create), Error);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(PosixFiles, EachOperationHasItsFaultPoint) {
  const auto file = fs_.open(at("f"), Mode::Create);
  const std::vector<std::pair<std::string, std::function<void()>>> operations = {
      {"file.create", [&] { fs_.open(at("g"), Mode::Create); }},
      {"file.write", [&] { file->write_at(0, "x"); }},
      {"file.sync", [&] { file->sync_data(); }},
      {"file.truncate", [&] { file->truncate(10); }},
      {"file.allocate", [&] { file->allocate(10); }},
      {"file.make_directory", [&] { fs_.make_directory(at("d")); }},
      {"file.rename", [&] { fs_.rename(at("f"), at("h")); }},
      {"file.remove", [&] { fs_.remove(at("f")); }},
      {"file.sync_directory", [&] { fs_.sync_directory(at("")); }},
  };
  for (const auto& [point, operation] : operations) {
    fault::arm(point, {.fail_with = ENOSPC, .times = -1});
    EXPECT_EQ(error_of(operation), ErrorCode::NoSpace) << point;
    fault::arm(point, {.fail_with = EIO, .times = -1});
    EXPECT_EQ(error_of(operation), ErrorCode::Io) << point;
    fault::disarm(point);
    EXPECT_EQ(names(), std::vector<std::string>{"f"}) << point << " must fail before it has an effect";
    EXPECT_EQ(file->size(), 0u) << point;
  }
}

TEST_F(PosixFiles, AnInterruptedSyncIsAnErrorAndNotRetried) {
  const auto file = fs_.open(at("f"), Mode::Create);
  syncs_to_interrupt = 1;
  EXPECT_EQ(error_of([&] { file->sync_data(); }), ErrorCode::Io);
  EXPECT_EQ(syncs_to_interrupt, 0);
  file->sync_data();
}

TEST_F(PosixFiles, MessagesNameTheFile) {
  EXPECT_THAT(message_of([&] { fs_.open(at("none"), Mode::Read); }), HasSubstr(at("none").native()));
  EXPECT_THAT(message_of([&] { fs_.rename(at("none"), at("x")); }), HasSubstr(at("none").native()));
  const fault::Armed armed("file.sync", {.fail_with = EIO});
  const auto file = fs_.open(at("f"), Mode::Create);
  EXPECT_THAT(message_of([&] { file->sync_data(); }), HasSubstr(at("f").native()));
}

// Runs `call` once for each hit of each fault point it passes, with that hit failing.
void with_every_fault(const std::function<void()>& call, const std::function<void(const std::string& point)>& check) {
  fault::record(true);
  call();
  fault::record(false);
  const std::vector<std::string> points = fault::reached();
  ASSERT_FALSE(points.empty());
  for (const std::string& point : points) {
    for (int hit = 0;; ++hit) {
      bool fired = false;
      fault::arm(point, {.fail_with = EIO, .run = [&] { fired = true; }, .skip = hit});
      const ErrorCode error = error_of(call);
      fault::disarm(point);
      if (!fired) {
        EXPECT_EQ(error, ErrorCode{});
        break;
      }
      EXPECT_EQ(error, ErrorCode::Io) << point;
      check(point);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST_F(PosixFiles, AnAtomicWriteKeepsTheOldContentWhicheverStepFails) {
  const std::string content(3'000'000, 'n');
  std::set<std::string> failed;
  with_every_fault(
      [&] {
        put("f", "old");
        write_file_atomically(fs_, at("f"), content);
      },
      [&](const std::string& point) {
        failed.insert(point);
        // Once renamed it is the new content that is in place, only perhaps not durably.
        EXPECT_TRUE(get("f") == (point == "file.sync_directory" ? content : "old")) << point;
        EXPECT_EQ(names(), std::vector<std::string>{"f"}) << point << " left a temporary file";
      });
  EXPECT_EQ(failed,
            (std::set<std::string>{"file.create", "file.write", "file.sync", "file.rename", "file.sync_directory"}));
}

TEST_F(PosixFiles, AFailedAtomicWriteReportsTheFirstErrorThoughCleaningUpFailsToo) {
  put("f", "old");
  const fault::Armed sync("file.sync", {.fail_with = ENOSPC});
  const fault::Armed remove("file.remove", {.fail_with = EIO});
  EXPECT_EQ(error_of([&] { write_file_atomically(fs_, at("f"), "new"); }), ErrorCode::NoSpace);
  EXPECT_EQ(get("f"), "old");
}

TEST_F(PosixFiles, AZeroFilledFileIsNotThereWhicheverStepFails) {
  std::set<std::string> failed;
  with_every_fault(
      [&] {
        std::filesystem::remove(at("f"));
        create_zero_filled(fs_, at("f"), 2'500'000);
      },
      [&](const std::string& point) {
        failed.insert(point);
        EXPECT_TRUE(names().empty()) << point;
      });
  EXPECT_EQ(failed,
            (std::set<std::string>{"file.create", "file.allocate", "file.write", "file.sync", "file.sync_directory"}));
}

TEST_F(PosixFiles, AZeroFilledFileHasItsBlocks) {
  if (!file_system_reserves_space()) GTEST_SKIP() << "the file system reserves no space";
  create_zero_filled(fs_, at("f"), 1 << 20);
  struct stat status {};
  ASSERT_EQ(::stat(at("f").c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, 1 << 20);
}

// No file of this process grows beyond it, for a scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*old_handler_)(int);
  rlimit old_limit_{};
};

TEST_F(PosixFiles, AFileSizeLimitIsNoSpaceAndLeavesNoPartOfAFile) {
  if (!file_system_reserves_space()) GTEST_SKIP() << "the file system reserves no space";
  put("atomic", "old");
  const std::string large(1 << 20, 'x');
  ErrorCode zeros{};
  ErrorCode atomic{};
  ErrorCode write{};
  ErrorCode allocate{};
  {
    const FileSizeLimit limit(1 << 16);
    zeros = error_of([&] { create_zero_filled(fs_, at("zeros"), large.size()); });
    atomic = error_of([&] { write_file_atomically(fs_, at("atomic"), large); });
    write = error_of([&] { fs_.open(at("written"), Mode::Create)->write_at(0, large); });
    allocate = error_of([&] { fs_.open(at("allocated"), Mode::Create)->allocate(large.size()); });
  }
  EXPECT_EQ(zeros, ErrorCode::NoSpace);
  EXPECT_EQ(atomic, ErrorCode::NoSpace);
  EXPECT_EQ(write, ErrorCode::NoSpace);
  EXPECT_EQ(allocate, ErrorCode::NoSpace);
  EXPECT_EQ(get("allocated"), "") << "a full disk shows before anything is written";
  EXPECT_EQ(get("atomic"), "old");
  EXPECT_EQ(get("written").size(), std::size_t{1} << 16) << "a short write goes on until it meets the reason";
  EXPECT_EQ(names(), (std::vector<std::string>{"allocated", "atomic", "written"}));
}

TEST_F(PosixFiles, ARelativePathWithoutADirectoryWorks) {
  const Path before = std::filesystem::current_path();
  std::filesystem::current_path(directory_.path());
  write_file_atomically(fs_, "f", "here");
  create_zero_filled(fs_, "g", 10);
  std::filesystem::current_path(before);
  EXPECT_EQ(get("f"), "here");
  EXPECT_EQ(get("g").size(), 10u);
}

TEST_F(PosixFiles, APathIsResolvedThroughLinksAsFarAsThereIsSomethingOrLeftWithThem) {
  std::filesystem::create_directory(at("real"));
  std::filesystem::create_directory_symlink(at("real"), at("link"));
  const Path real = std::filesystem::canonical(at("real"));
  EXPECT_EQ(resolved_path(at("link") / "not" / ".." / "there"), real / "there");
  EXPECT_EQ(absolute_path(at("link") / "there"), at("link") / "there");
  EXPECT_EQ(absolute_path("there"), std::filesystem::current_path() / "there");
  EXPECT_EQ(resolved_path("there"), std::filesystem::canonical(".") / "there");
  EXPECT_EQ(error_of([] { absolute_path(""); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([] { resolved_path(""); }), ErrorCode::InvalidArgument);
  std::filesystem::create_symlink(at("loop"), at("loop"));
  EXPECT_EQ(error_of([&] { resolved_path(at("loop") / "there"); }), ErrorCode::Io);
}

}  // namespace
}  // namespace azoth
