// The projector over a log in memory: batches, states, waiting, pausing, sealed logs, several projections.
#include "azoth/projection/projector.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "azoth/projection/query.h"

#include "projection_support.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class ProjectorTest : public ProjectionTest {};

TEST_F(ProjectorTest, OneBatchEndsAtItsNumberOfEvents) {
  count(5);
  auto projector = projector_with(counting().batch({.events = 2}));
  EXPECT_EQ(projector->run_once("counts").cursor, 2u);
  EXPECT_EQ(rows(), (Rows{{"a", 2}}));
  EXPECT_EQ(projector->run_once("counts").events, 2u);
  EXPECT_EQ(projector->run_once("counts").events, 1u);
  RunReport last = projector->run_once("counts");
  EXPECT_EQ(last.events, 0u);
  EXPECT_TRUE(last.up_to_date);
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
}

TEST_F(ProjectorTest, OneBatchEndsAtItsNumberOfBytes) {
  count(4, std::string(100, 'x'));
  auto projector = projector_with(counting().batch({.bytes = 150}));
  EXPECT_EQ(projector->run_once("counts").events, 2u);
}

TEST_F(ProjectorTest, OneBatchEndsWhenItsTimeIsOverAndTheRestIsTheNext) {
  Projection slow("slow", 1);
  slow.schema("CREATE TABLE t (x INTEGER)").batch({.time = milliseconds{50}});
  slow.on("count", [this](const EventView& event, Sql& sql) {
    pacer_.pass(milliseconds{20});
    sql.run("INSERT INTO t VALUES (?)", static_cast<std::int64_t>(event.id()));
  });
  count(4);
  auto projector = projector_with(std::move(slow));
  EXPECT_EQ(projector->run_once("slow").events, 3u);
  EXPECT_EQ(projector->run_once("slow").events, 1u);
  EXPECT_EQ(rows("SELECT 'n', count(DISTINCT x) + 10 * count(*) FROM t", "slow"), (Rows{{"n", 44}}));
}

TEST_F(ProjectorTest, ARestartGoesOnBehindTheLastBatch) {
  count(10);
  projector_with(counting().batch({.events = 4}))->run_once("counts");
  count(1, "b");
  projector_with(counting())->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 10}, {"b", 1}}));
  projector_with(counting())->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 10}, {"b", 1}}));
}

TEST_F(ProjectorTest, AllHandlersThatMatchRunInOrder) {
  Projection projection("matches", 1);
  projection.schema("CREATE TABLE t (event INTEGER, by TEXT)");
  for (std::string pattern : {"file.added", "file.*", "*", "file.removed"}) {
    projection.on(pattern, [pattern](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO t VALUES (?, ?)", static_cast<std::int64_t>(event.id()), pattern);
    });
  }
  source_.append("file.added", "");
  source_.append("filed", "");
  source_.append("file.", "");
  auto projector = projector_with(std::move(projection));
  projector->catch_up("matches");
  EXPECT_EQ(rows("SELECT group_concat(event || by, ' '), 0 FROM t", "matches").begin()->first,
            "1file.added 1file.* 1* 2* 3file.* 3*");
}

TEST_F(ProjectorTest, EventsThatNobodyHandlesMoveTheCursor) {
  source_.append("other", "");
  count(1);
  source_.append("other", "");
  auto projector = projector_with(counting());
  RunReport report = projector->catch_up("counts");
  EXPECT_EQ(report.events, 3u);
  EXPECT_EQ(report.applied, 1u);
  EXPECT_EQ(projector->status("counts").cursor, 3u);
}

TEST_F(ProjectorTest, TheHookRunsOnceABatchInWhichAHandlerRan) {
  int calls = 0;
  auto projector = projector_with(counting().batch({.events = 2}).before_commit([&](Sql& sql) {
    ++calls;
    sql.run("UPDATE counts SET last = last + 1000");
  }));
  count(4);
  source_.append("other", "");
  projector->catch_up("counts");
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(rows("SELECT what, last FROM counts"), (Rows{{"a", 1004}}));
}

// In a log that another process writes, too, of which this one has not heard yet.
TEST_F(ProjectorTest, CatchUpGoesToWhatIsThereWhenItIsCalled) {
  count(5);
  auto projector = projector_with(counting());
  source_.lag(2);
  EXPECT_EQ(projector->catch_up("counts").cursor, 5u);
}

TEST_F(ProjectorTest, RunUntilStopsAtTheEvent) {
  count(9);
  auto projector = projector_with(counting());
  EXPECT_TRUE(projector->run_until("counts", 4));
  EXPECT_EQ(rows(), (Rows{{"a", 4}}));
}

TEST_F(ProjectorTest, RunUntilEndsAtTheSeal) {
  count(3);
  source_.seal();
  auto projector = projector_with(counting());
  EXPECT_FALSE(projector->run_until("counts", 4));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_EQ(projector->status("counts").sealed, 3u);
}

TEST_F(ProjectorTest, RunUntilEndsAtASealThatComesWhileItWaits) {
  count(3);
  auto projector = projector_with(counting());
  auto waiting = std::async(std::launch::async, [&] { return projector->run_until("counts", 4); });
  while (source_.waits() == 0) std::this_thread::yield();
  source_.seal();
  EXPECT_FALSE(waiting.get());
}

// The mutex is free meanwhile.
TEST_F(ProjectorTest, WhoeverComesDuringABackOffIsHeeded) {
  struct Interrupted : FakePacer {
    void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Deadline until,
              const std::function<bool()>& over) override {
      lock.unlock();
      meanwhile();
      lock.lock();
      FakePacer::wait(lock, changed, until, over);
    }
    std::function<void()> meanwhile;
  };
  for (const ErrorCode expected : {ErrorCode::Paused, ErrorCode::Closed}) {
    Interrupted pacer;
    Projector projector(directory_.path(), source_, {.clock = &clock_, .pacer = &pacer, .seed = 1});
    Projection failing = counting();
    int applied = 0;
    failing.on_error({.retries = 5}).on("*", [&](const EventView&, Sql&) {
      ++applied;
      throw std::runtime_error("again");
    });
    pacer.meanwhile = [&] {
      if (expected == ErrorCode::Paused) {
        projector.pause("counts");
      } else {
        projector.release("counts");
      }
    };
    projector.add(std::move(failing));
    count(1);
    EXPECT_EQ(code_of([&] { return projector.catch_up("counts"); }), expected);
    EXPECT_EQ(applied, 1);
  }
}

TEST_F(ProjectorTest, ItsDirectoryMayLieBehindASymbolicLink) {
  TempDir elsewhere;
  const auto link = elsewhere.path() / "link";
  std::filesystem::create_directory_symlink(directory_.path(), link);
  count(2);
  Projector projector(link, source_, {.clock = &clock_, .pacer = &pacer_, .seed = 1});
  projector.add(counting());
  projector.catch_up("counts");
  Queries queries(link);
  EXPECT_EQ(queries.run(std::vector<std::string>{"counts"}, "SELECT times FROM counts", {}).next()->int64(0), 2);
}

TEST_F(ProjectorTest, RunUntilGivesUpAtItsTimeout) {
  count(1);
  auto projector = projector_with(counting());
  EXPECT_FALSE(projector->run_until("counts", 2, milliseconds{1}));
  EXPECT_EQ(rows(), (Rows{{"a", 1}}));
}

TEST_F(ProjectorTest, WhoListensIsToldThatItIsNoLongerFollowed) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ProjectionState> told;
  auto projector = this->projector();
  projector->listen([&](const ProjectionChange& change) {
    std::lock_guard lock(mutex);
    told.push_back(change.state);
    changed.notify_all();
  });
  projector->add(counting());
  count(1);
  using enum ProjectionState;
  for (bool stopped : {true, false}) {  // and then it is closed
    projector->follow("counts");
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !told.empty() && told.back() == Live; });
    }
    stopped ? projector->stop("counts") : projector->close();
    EXPECT_EQ(told.back(), Stopped);
  }
}

TEST_F(ProjectorTest, ABackoffThatIsNoneIsRefused) {
  for (const Backoff& backoff : {Backoff{.jitter = 5}, Backoff{.factor = 0.5}, Backoff{.max = milliseconds{1}}}) {
    EXPECT_EQ(
        code_of([&] { return Projector(directory_.path(), source_, {.trouble_backoff = backoff}).names().size(); }),
        ErrorCode::InvalidArgument);
  }
}

// --- Back-offs and timeouts, in real time

class RealTimeTest : public ProjectionTest {
 protected:
  // The system's, which says that somebody waits for a back-off.
  class TellingPacer : public Pacer {
   public:
    Deadline now() override { return system().now(); }
    void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Deadline until,
              const std::function<bool()>& over) override {
      waiting = true;
      waiting.notify_all();
      system().wait(lock, changed, until, over);
    }
    std::atomic<bool> waiting{false};
  };

  // Its first event fails once, and is tried again after this time.
  std::unique_ptr<Projector> failing_once(std::chrono::nanoseconds backoff) {
    auto made = std::make_unique<Projector>(directory_.path(), source_, ProjectorOptions{.pacer = &telling_});
    ErrorPolicy policy{.retries = 1};
    policy.backoff = {.initial = backoff, .factor = 1, .max = backoff, .jitter = 0};
    Projection projection = counting();
    projection.on_error(policy).on("*", [failed = std::make_shared<std::atomic<bool>>(false)](const EventView&, Sql&) {
      if (!failed->exchange(true)) throw std::runtime_error("the first time");
    });
    made->add(std::move(projection));
    return made;
  }
  static constexpr std::chrono::hours kForEver{1};

  TellingPacer telling_;
};

TEST_F(RealTimeTest, StoppingDoesNotWaitForABackoffThatSomebodyElseWaitsOut) {
  auto projector = failing_once(kForEver);
  count(1);
  std::vector<std::thread> callers;  // several, so that one of them is first to learn of the stop
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&] { EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::Closed); });
  }
  telling_.waiting.wait(false);
  projector->follow("counts");
  std::this_thread::sleep_for(milliseconds{50});
  projector->stop("counts");
  projector->close();  // which ends the callers' wait
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(rows(), (Rows{}));
}

TEST_F(RealTimeTest, ATimeoutEndsInABackoff) {
  count(1);
  for (std::chrono::nanoseconds backoff : {std::chrono::nanoseconds{kForEver}, std::chrono::nanoseconds::max()}) {
    auto projector = failing_once(backoff);
    EXPECT_FALSE(projector->run_until("counts", 1, milliseconds{20}));
    EXPECT_FALSE(projector->wait_until("counts", 1, milliseconds{20}));
    EXPECT_EQ(rows(), (Rows{}));
  }
}

TEST_F(RealTimeTest, ATimeoutEndsBetweenTwoBatches) {
  auto projector = this->projector();
  Projection slow = counting();
  slow.batch({.events = 1}).on("*", [](const EventView&, Sql&) { std::this_thread::sleep_for(milliseconds{20}); });
  projector->add(std::move(slow));
  count(100);
  EXPECT_FALSE(projector->run_until("counts", 100, milliseconds{30}));
  EXPECT_LT(projector->status("counts").cursor, 30u);
  EXPECT_FALSE(projector->wait_until("counts", 100, milliseconds{30}));
  EXPECT_LT(projector->status("counts").cursor, 60u);
}

TEST_F(ProjectorTest, AFollowedProjectionShowsWhatWasWaitedFor) {
  auto projector = projector_with(counting());
  projector->follow("counts");
  for (int i = 1; i <= 50; ++i) {
    count(1);
    ASSERT_TRUE(projector->wait_until("counts", static_cast<EventId>(i), seconds{60}));
    ASSERT_EQ(rows(), (Rows{{"a", i}}));
  }
  EXPECT_FALSE(projector->wait_until("counts", 51, milliseconds{1}));
  projector->stop("counts");
  EXPECT_EQ(projector->status("counts").state, ProjectionState::Stopped);
}

TEST_F(ProjectorTest, WaitingForAProjectionThatIsNotFollowedRunsIt) {
  count(2);
  auto projector = projector_with(counting());
  EXPECT_TRUE(projector->wait_until("counts", 2, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 2}}));
}

TEST_F(ProjectorTest, APausedProjectionAppliesNothingUntilItIsResumed) {
  auto projector = projector_with(counting());
  projector->follow("counts");
  count(1);
  ASSERT_TRUE(projector->wait_until("counts", 1, seconds{60}));
  projector->pause("counts");
  EXPECT_EQ(projector->status("counts").state, ProjectionState::Paused);
  count(1);
  EXPECT_FALSE(projector->wait_until("counts", 2, milliseconds{5}));
  EXPECT_EQ(code_of([&] { return projector->run_once("counts"); }), ErrorCode::Paused);
  EXPECT_EQ(rows(), (Rows{{"a", 1}}));
  projector->resume("counts");
  EXPECT_TRUE(projector->wait_until("counts", 2, seconds{60}));
}

TEST_F(ProjectorTest, LagIsInEventsAndInTime) {
  count(2);
  auto projector = projector_with(counting());
  projector->catch_up("counts");
  EXPECT_EQ(projector->status("counts").lag, 0u);
  EXPECT_EQ(projector->status("counts").lag_time.count(), 0);
  source_.time = clock_.time - seconds{30};
  count(1);
  source_.time = clock_.time - seconds{10};
  count(2);
  ProjectionStatus status = projector->status("counts");
  EXPECT_EQ(status.newest, 5u);
  EXPECT_EQ(status.lag, 3u);
  EXPECT_EQ(status.lag_time, seconds{30});
  EXPECT_EQ(status.state, ProjectionState::Stopped);
}

TEST_F(ProjectorTest, RunningItFromSeveralThreadsAppliesEachEventOnce) {
  auto projector = projector_with(counting().batch({.events = 7}));
  projector->follow("counts");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        count(3);
        projector->catch_up("counts");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(projector->wait_until("counts", 450, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 450}}));
}

// Each one's handler waits for the other's: neither could end if one ran after the other.
TEST_F(ProjectorTest, ProjectionsRunBesideEachOther) {
  auto both = std::make_shared<std::latch>(2);
  auto projector = this->projector();
  for (std::string name : {"one", "two"}) {
    Projection projection(name, 1);
    projection.schema("CREATE TABLE t (x)").on("*", [both](const EventView&, Sql& sql) {
      both->arrive_and_wait();
      sql.run("INSERT INTO t VALUES (1)");
    });
    projector->add(std::move(projection));
  }
  projector->follow_all();
  count(1);
  EXPECT_TRUE(projector->wait_until("one", 1, seconds{60}));
  EXPECT_TRUE(projector->wait_until("two", 1, seconds{60}));
}

TEST_F(ProjectorTest, AHandlerCannotUseTheProjectorThatRunsIt) {
  auto projector = this->projector();
  std::vector<ErrorCode> codes;
  Projection projection("nested", 1);
  projection.schema("CREATE TABLE t (x)").on("*", [&](const EventView&, Sql&) {
    codes.push_back(code_of([&] { return projector->status("nested"); }));
    codes.push_back(code_of([&] { return projector->run_once("nested"); }));
    codes.push_back(code_of([&] {
      projector->pause("nested");
      return 0;
    }));
    codes.push_back(code_of([&] {
      projector->stop("nested");
      return 0;
    }));
  });
  projector->add(std::move(projection));
  count(1);
  projector->catch_up("nested");
  EXPECT_EQ(codes, std::vector<ErrorCode>(4, ErrorCode::NestedUse));
  EXPECT_EQ(projector->status("nested").state, ProjectionState::Stopped);
}

TEST_F(ProjectorTest, AGapInTheLogIsNotPassedOver) {
  count(5);
  source_.hide(3);
  auto projector = projector_with(counting());
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::Corruption);
  EXPECT_THAT(message_of([&] { return projector->catch_up("counts"); }), HasSubstr("lacks event 3"));
  EXPECT_EQ(projector->status("counts").cursor, 0u);
  source_.hide(0);
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
}

TEST_F(ProjectorTest, ASecondProjectorIsToldWhoHasTheProjection) {
  auto projector = projector_with(counting());
  auto second = this->projector();
  EXPECT_EQ(code_of([&] {
              second->add(counting());
              return 0;
            }),
            ErrorCode::Locked);
  EXPECT_THAT(message_of([&] {
                second->add(counting());
                return 0;
              }),
              HasSubstr(std::to_string(getpid())));
  EXPECT_EQ(code_of([&] {
              projector->add(counting());
              return 0;
            }),
            ErrorCode::AlreadyOpen);
  EXPECT_EQ(code_of([&] { return second->status("counts"); }), ErrorCode::NotFound);
  projector->release("counts");
  second->add(counting());
}

TEST_F(ProjectorTest, NamesCannotLeaveTheFolder) {
  for (const char* name : {"", "..", "a/b", "a.b", "a b", "\xc3\xa4"}) {
    EXPECT_EQ(code_of([&] { return Projection(name, 1).version(); }), ErrorCode::InvalidArgument) << name;
  }
  EXPECT_EQ(code_of([&] { return Projection(std::string(65, 'a'), 1).version(); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return Projection("A-z_09", 1).version(); }), ErrorCode{});
}

TEST_F(ProjectorTest, VersionsBeginAtOne) {
  EXPECT_EQ(code_of([&] { return Projection("p", 0).version(); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(Projection("p", 1).version(), 1u);
}

TEST_F(ProjectorTest, APatternIsGivenOnceAndItsStarIsAtTheEnd) {
  auto on = [](std::vector<std::string> patterns) {
    return code_of([&] {
      Projection projection("p", 1);
      for (const std::string& pattern : patterns) projection.on(pattern, [](const EventView&, Sql&) {});
      return 0;
    });
  };
  EXPECT_EQ(on({"a", "a*", "*"}), ErrorCode{});
  EXPECT_EQ(on({"a", "a"}), ErrorCode::InvalidArgument);
  EXPECT_EQ(on({"*a"}), ErrorCode::InvalidArgument);
  EXPECT_EQ(on({""}), ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace azoth::test
