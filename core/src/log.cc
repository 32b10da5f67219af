#include "azoth/core/log.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace azoth {
namespace {

struct Logging {
  std::mutex mutex;
  std::shared_ptr<const LogSink> sink;
  std::atomic<bool> silent{true};  // spares the mutex while nobody listens
};

// Never destroyed: a background thread may log while the process exits.
Logging& logging() {
  static Logging& instance = *new Logging;
  return instance;
}

}  // namespace

void set_log_sink(LogSink sink) {
  Logging& state = logging();
  std::shared_ptr<const LogSink> next;
  if (sink) next = std::make_shared<const LogSink>(std::move(sink));
  std::lock_guard guard(state.mutex);
  state.sink.swap(next);  // the old sink is destroyed after the mutex is released, by the last call that uses it
  state.silent.store(state.sink == nullptr, std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view message) noexcept {
  try {
    Logging& state = logging();
    if (state.silent.load(std::memory_order_relaxed)) return;
    std::shared_ptr<const LogSink> sink;
    {
      std::lock_guard guard(state.mutex);
      sink = state.sink;
    }
    if (sink) (*sink)(level, message);
  } catch (...) {  // A sink must not throw. One that does loses its message, not the commit that was reported.
  }
}

void log(LogLevel level, std::string_view what, std::string_view why) noexcept {
  try {
    log(level, std::string(what).append(why));
  } catch (...) {
  }
}

}  // namespace azoth
