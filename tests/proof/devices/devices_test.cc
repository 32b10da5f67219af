// Real file systems on devices of the test's own: the power goes at some moment of a workload; the device breaks, and
// is mended; the disk is full; it cannot be written.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <iostream>
#include <random>

#include "mounted.h"
#include "script.h"
#include "support/seed.h"

namespace azoth::inject {
namespace {

using test::Device;
using test::Memory;

constexpr unsigned kSeconds = 120;

// A workload in a directory, in processes of their own.
class Life {
 public:
  Life(const std::string& name, std::filesystem::path directory)
      : workload_(workload(name)), place_{std::move(directory)} {
    told_->start_with({});
  }

  // False where there is no room even for that.
  bool prepare() {
    const bool ended = wait(start([&] {
      Script script(place_, *told_, Script::Expects::Nothing);
      workload_.prepare(script);
    }));
    return ended && *told_->complaint() == 0;
  }
  void begin() {
    running_ = start([&] {
      Script script(place_, *told_, Script::Expects::Errors);
      workload_.run(script);
    });
  }
  // What went wrong is an Error or nothing.
  void end() {
    EXPECT_TRUE(wait(running_));
    EXPECT_STREQ(told_->complaint(), "");
  }
  void check(Durability least) {
    EXPECT_TRUE(wait(start([&] {
      Script script(place_, *told_, Script::Expects::Nothing);
      workload_.check(script, least);
    }))) << "the check fails";
  }
  void run() {
    begin();
    end();
  }

 private:
  template <class Body>
  static pid_t start(Body body) {
    std::cout.flush();
    const pid_t child = fork();
    if (child != 0) return child;
    alarm(kSeconds);
    try {
      body();
    } catch (const std::exception& error) {
      std::cout << "in the child: " << error.what() << std::endl;
      _exit(1);
    }
    std::cout.flush();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  static bool wait(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) std::cout << "died of signal " << WTERMSIG(status) << std::endl;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  const Workload& workload_;
  const Place place_;
  Shared<Told> told_;
  pid_t running_ = -1;
};

class OnADevice : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string why = test::why_nothing_can_be_mounted(); !why.empty()) {
      GTEST_SKIP() << "no file system can be mounted here: " << why;
    }
    if (!Device::has(GetParam())) GTEST_SKIP() << "there is no mkfs." << GetParam();
    try {
      Device device(GetParam());
      device.cut_power();
    } catch (const Error& error) {
      GTEST_SKIP() << "no " << GetParam() << " on a loop device: " << error.what();
    }
  }

  // Some cycles of each workload, each on an empty file system.
  template <class Cycle>
  void cycles(int usual, Cycle cycle) {
    std::mt19937_64 random(test::test_seed());
    const std::vector<std::string> names = {"commits", "create", "commits", "projections", "recovery", "backup"};
    int done = 0;
    for (int i = test::rounds(usual, 10 * usual); i > 0 && !HasFailure(); --i, ++done) {
      const std::string& name = names[static_cast<std::size_t>(i) % names.size()];
      SCOPED_TRACE(name + ", cycle " + std::to_string(done));
      Device device(GetParam());
      Life life(name, device.path());
      ASSERT_TRUE(life.prepare());
      cycle(device, life, random);
    }
    std::cout << GetParam() << ": " << done << " cycles\n";
  }
};

TEST_P(OnADevice, APowerCutLosesNothingDurable) {
  cycles(60, [](Device& device, Life& life, std::mt19937_64& random) {
    life.begin();
    usleep(static_cast<useconds_t>(random() % 60'000));
    device.cut_power();
    life.end();
    device.unmount();
    device.mount();
    life.check(Durability::Durable);
  });
}

TEST_P(OnADevice, ABreakdownOfTheDeviceLosesNothingDurable) {
  cycles(20, [](Device& device, Life& life, std::mt19937_64& random) {
    life.begin();
    usleep(static_cast<useconds_t>(random() % 30'000));
    device.break_down();
    life.end();
    device.cut_power();  // what the page cache still has is no proof
    device.mend();
    device.unmount();
    device.mount();
    life.check(Durability::Durable);
  });
}

INSTANTIATE_TEST_SUITE_P(FileSystems, OnADevice, testing::Values("ext4", "xfs"),
                         [](const auto& one) { return one.param; });

class Mounted : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string why = test::why_nothing_can_be_mounted(); !why.empty()) {
      GTEST_SKIP() << "no file system can be mounted here: " << why;
    }
  }
};

// The disk is full somewhere in the middle; with room again everything acknowledged is there.
TEST_P(Mounted, AFullDiskLosesNothing) {
  int met = 0;
  for (std::uint64_t bytes = 200 << 10; bytes <= 4 << 20 && !HasFailure(); bytes += 250 << 10) {
    SCOPED_TRACE(std::to_string(bytes) + " bytes");
    Memory memory(bytes);
    Life life(GetParam(), memory.path());
    if (!life.prepare()) continue;
    ++met;
    life.run();
    ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT, "size=1g"), 0);
    life.check(Durability::Written);
  }
  EXPECT_GT(met, 0);
}

TEST_P(Mounted, AReadOnlyFileSystemIsAnErrorAndReadable) {
  Memory memory(1 << 30);
  Life life(GetParam(), memory.path());
  ASSERT_TRUE(life.prepare());
  ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  life.run();
  ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT, nullptr), 0);
  life.check(Durability::Written);
}

INSTANTIATE_TEST_SUITE_P(Workloads, Mounted,
                         testing::Values("create", "commits", "recovery", "projections", "backup", "restore"),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace azoth::inject
