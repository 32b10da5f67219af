// A thread beside what is measured, until it is stopped.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

namespace azoth::bench {

class Beside {
 public:
  using Work = std::function<void(const std::atomic<bool>& stopped)>;

  explicit Beside(Work work) : thread_([this, work = std::move(work)] { run(work); }) {}
  ~Beside() { end(); }  // what it has thrown is not thrown here: something else ends what is measured
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  // Waits for it, and throws what it has thrown.
  void stop() {
    end();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void run(const Work& work) try { work(stopped_); } catch (...) {
    error_ = std::current_exception();
  }
  void end() {
    stopped_.store(true);
    if (thread_.joinable()) thread_.join();
  }

  std::atomic<bool> stopped_{false};
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace azoth::bench
