#include "run.h"

#include <csignal>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>

#include "support/child_process.h"

namespace azoth::proof::histories {
namespace {

using Milliseconds = std::chrono::milliseconds;

class Run {
 public:
  Run(const Places& places, const Plan& plan)
      : places_(places), plan_(plan), random_(plan.seed), shared_(map_shared()) {}

  RunReport operator()() {
    const auto begun = std::chrono::steady_clock::now();
    std::filesystem::create_directories(places_.records());
    Db::create(places_.store(), store_options(plan_.seed));
    while (shared_->ended() < plan_.transactions) next_life();
    end_beside();
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return report_;
  }

 private:
  void next_life() {
    const Word life = ++report_.lives;
    test::ChildProcess writer([&] { live(places_, *shared_, plan_, life); });
    if (random_() % 4 == 0) end_beside();
    if (!beside_) begin_beside();
    const std::uint64_t dice = random_() % 10;
    // Some are killed while they open the store.
    wait(Milliseconds(dice == 0 ? random_() % 60 : 100 + random_() % plan_.longest_life));
    if (random_() % 4 == 0) stop_for_a_while(writer);
    if (dice == 1) {
      shared_->stopped_life = life;
      writer.wait();
      if (!writer.succeeded()) throw std::runtime_error("life " + std::to_string(life) + " did not end as it should");
      return;
    }
    writer.kill();
    if (!writer.was_killed()) throw std::runtime_error("life " + std::to_string(life) + " ended by itself");
    ++report_.kills;
  }

  // No longer than is needed.
  void wait(Milliseconds time) {
    for (; time > Milliseconds(0) && shared_->ended() < plan_.transactions; time -= Milliseconds(10))
      std::this_thread::sleep_for(std::min(time, Milliseconds(10)));
  }

  void stop_for_a_while(const test::ChildProcess& child) {
    ::kill(child.pid(), SIGSTOP);
    std::this_thread::sleep_for(Milliseconds(random_() % 40));
    ::kill(child.pid(), SIGCONT);
    std::this_thread::sleep_for(Milliseconds(random_() % 40));
    ++report_.stops;
  }

  void begin_beside() {
    const Word process = ++processes_beside_;
    beside_ = std::make_unique<test::ChildProcess>(
        [&] { read_beside(places_, *shared_, process, plan_.seed * 77 + process); });
  }

  void end_beside() {
    if (!beside_) return;
    beside_->kill();
    if (!beside_->was_killed()) throw std::runtime_error("a process beside ended by itself");
    beside_.reset();
    ++report_.kills_beside;
  }

  const Places& places_;
  const Plan& plan_;
  std::mt19937_64 random_;
  SharedMemory shared_;
  std::unique_ptr<test::ChildProcess> beside_;
  Word processes_beside_ = 0;
  RunReport report_;
};

}  // namespace

RunReport run(const Places& places, const Plan& plan) { return Run(places, plan)(); }

}  // namespace azoth::proof::histories
