// Real file systems on devices of the test's own: the power goes at some moment of a workload; the device breaks, and
// is mended; a read, a write or a sync of the device fails; the disk is full; it cannot be written.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>

#include "mounted.h"
#include "script.h"
#include "support/proof.h"
#include "support/seed.h"

namespace azoth::inject {
namespace {

using test::Device;
using test::FailingDisk;
using test::Memory;

constexpr unsigned kSeconds = 120;

// Of each file system: AZOTH_PROOF_CYCLES, if it is set.
int cycles_of(int usual) {
  const char* given = std::getenv("AZOTH_PROOF_CYCLES");
  return given != nullptr ? std::atoi(given) : test::share_of(test::rounds(usual, 10 * usual));
}

// A workload in a directory, in processes of their own.
class Life {
 public:
  Life(const std::string& name, std::filesystem::path directory)
      : workload_(workload(name)), place_{std::move(directory)} {
    told_->start_with({});
  }

  // False if it fails.
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
  // What went wrong is an Error or nothing. Where a device fails, or a file system has shut itself down, a page of a
  // mapped file may be gone: who touches it is ended by SIGBUS, and nobody but the kernel can help that.
  enum class Pages { AreThere, MayBeGone };
  void end(Pages pages) {
    const int status = status_of(running_);
    const bool died_of_a_page = WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
    EXPECT_TRUE(succeeded(status) || (pages == Pages::MayBeGone && died_of_a_page)) << "status " << status;
    EXPECT_STREQ(told_->complaint(), "");
  }
  bool holds(Durability least) {
    return wait(start([&] {
      Script script(place_, *told_, Script::Expects::Nothing);
      workload_.check(script, least);
    }));
  }
  // What the store has can be read now.
  void read() {
    EXPECT_TRUE(wait(start([&] {
      const Db db = Db::open_read_only(place_.store(), quick_options());
      const ReadTxn snapshot = db.read();
      std::size_t keys = 0;
      for (const auto& [key, value] : snapshot.scan()) keys += !key.empty();
      EXPECT_GT(keys, 0u);
    }))) << "it cannot be read";
  }
  const Told& told() const { return *told_; }
  void check(Durability least) { EXPECT_TRUE(holds(least)) << "the check fails"; }
  void run() {
    begin();
    end(Pages::AreThere);
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
  static int status_of(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  static bool succeeded(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  static bool wait(pid_t child) {
    const int status = status_of(child);
    if (WIFSIGNALED(status)) std::cout << "died of signal " << WTERMSIG(status) << std::endl;
    return succeeded(status);
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
    for (int i = cycles_of(usual); i > 0 && !HasFailure(); --i, ++done) {
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
    life.end(Life::Pages::MayBeGone);
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
    life.end(Life::Pages::MayBeGone);
    device.cut_power();  // what the page cache still has is no proof
    device.mend();
    device.unmount();
    device.mount();
    life.check(Durability::Durable);
  });
}

// As the kernel does when it finds the file system damaged.
TEST_P(OnADevice, AFileSystemThatTurnsReadOnlyLosesNothingDurable) {
  if (GetParam() != "ext4") GTEST_SKIP() << GetParam() << " never does that: it shuts itself down, as above";
  cycles(20, [](Device& device, Life& life, std::mt19937_64& random) {
    life.begin();
    usleep(static_cast<useconds_t>(random() % 30'000));
    device.turn_read_only();
    life.end(Life::Pages::MayBeGone);
    device.cut_power();
    device.unmount();
    device.mount();
    life.check(Durability::Durable);
  });
}

// --- One call of the device fails, or all from there on

class OnAFailingDisk : public OnADevice {
 protected:
  void SetUp() override {
    OnADevice::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = test::why_no_disk_can_fail(); !why.empty()) {
      GTEST_SKIP() << "no disk can be made to fail here: " << why;
    }
  }

  struct Calls {
    std::uint64_t reads;
    std::uint64_t writes;
    std::uint64_t syncs;
    std::uint64_t of(FailingDisk::Of of) const {
      return of == FailingDisk::Of::Reads ? reads : of == FailingDisk::Of::Writes ? writes : syncs;
    }
  };

  // With nothing in memory of what is on the disk.
  void prepare(Device& device, Life& life) {
    ASSERT_TRUE(life.prepare());
    device.unmount();
    device.mount();
  }

  Calls count(const std::string& workload) {
    Device device(GetParam(), Device::On::FailingDisk);
    Life life(workload, device.path());
    prepare(device, life);
    device.disk().heal();
    life.run();
    return {device.disk().count(FailingDisk::Of::Reads), device.disk().count(FailingDisk::Of::Writes),
            device.disk().count(FailingDisk::Of::Syncs)};
  }

  // Whether it came to the fault.
  bool run_with(const std::string& workload, const FailingDisk::Fault& fault) {
    Device device(GetParam(), Device::On::FailingDisk);
    Life life(workload, device.path());
    prepare(device, life);
    device.disk().fail(fault);
    life.begin();
    life.end(Life::Pages::MayBeGone);
    const bool met = device.disk().failures() != 0;
    device.disk().heal();
    device.cut_power();  // what the page cache still has is no proof
    device.unmount();
    device.mount();
    life.check(Durability::Durable);
    return met;
  }
};

TEST_P(OnAFailingDisk, LosesNothingDurable) {
  using Of = FailingDisk::Of;
  using Times = FailingDisk::Times;
  std::mt19937_64 random(test::test_seed());
  const std::vector<std::pair<Of, int>> faults = {
      {Of::Reads, EIO}, {Of::Writes, EIO}, {Of::Writes, ENOSPC}, {Of::Syncs, EIO}};
  int runs = 0;
  int met = 0;
  for (const char* workload :
       {"create", "commits", "recovery", "reading", "projections", "backup", "restore", "repair"}) {
    const Calls calls = count(workload);
    for (int round = test::rounds(2, 20); round > 0; --round) {
      for (const auto& [of, error] : faults) {
        for (const Times times : {Times::Once, Times::FromThenOn}) {
          const FailingDisk::Fault fault{of, error, times, random() % (calls.of(of) + 1)};
          SCOPED_TRACE(std::string(workload) + ", errno " + std::to_string(error) + " of " +
                       std::to_string(static_cast<int>(of)) + (times == Times::Once ? ", once" : "") + ", behind " +
                       std::to_string(fault.skip) + " of " + std::to_string(calls.of(of)));
          if (!test::whole_proof() && random() % 25 != 0) continue;
          met += run_with(workload, fault);
          ++runs;
          if (HasFailure()) return;
        }
      }
    }
  }
  if (test::whole_proof()) {
    EXPECT_GT(met, runs / 2);
  }
  std::cout << GetParam() << ": " << met << " of " << runs << " runs met a fault\n";
}

// That the check above would find a loss: here is one.
TEST_P(OnAFailingDisk, ThatForgetsWhatItWasGivenIsFound) {
  Device device(GetParam(), Device::On::FailingDisk);
  Life life("commits", device.path());
  prepare(device, life);
  device.disk().fail({FailingDisk::Of::Writes, FailingDisk::kForgets, FailingDisk::Times::FromThenOn, 0});
  life.run();
  EXPECT_GT(device.disk().failures(), 0u);
  device.cut_power();
  device.unmount();
  device.disk().heal();
  device.mount();
  std::cout << "what the check finds:" << std::endl;
  EXPECT_FALSE(life.holds(Durability::Durable));
}

INSTANTIATE_TEST_SUITE_P(FileSystems, OnAFailingDisk, testing::Values("ext4", "xfs"),
                         [](const auto& one) { return one.param; });
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
  for (std::uint64_t room = 4096; room <= 4 << 20 && !HasFailure(); room = room * 3 / 2) {
    SCOPED_TRACE(std::to_string(room) + " bytes of room");
    Memory memory(1 << 30);
    Life life(GetParam(), memory.path());
    ASSERT_TRUE(life.prepare());
    const std::filesystem::space_info before = std::filesystem::space(memory.path());
    const std::string size = "size=" + std::to_string(before.capacity - before.free + room);
    ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT, size.c_str()), 0);
    life.run();
    met += life.told().errors(ErrorCode::NoSpace) != 0;
    ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT, "size=1g"), 0);
    life.check(Durability::Written);
  }
  if (GetParam() != "recovery") {  // which needs no more room than the store has taken already
    EXPECT_GT(met, 0);
  }
  std::cout << GetParam() << ": the disk was full in " << met << " runs\n";
}

TEST_P(Mounted, AReadOnlyFileSystemIsAnErrorAndReadable) {
  Memory memory(1 << 30);
  Life life(GetParam(), memory.path());
  ASSERT_TRUE(life.prepare());
  ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  life.run();
  EXPECT_GT(life.told().errors(), 0u);
  if (GetParam() != "create") life.read();
  ASSERT_EQ(mount(nullptr, memory.path().c_str(), nullptr, MS_REMOUNT, nullptr), 0);
  life.check(Durability::Written);
}

INSTANTIATE_TEST_SUITE_P(Workloads, Mounted,
                         testing::Values("create", "commits", "recovery", "projections", "backup", "restore"),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace azoth::inject
