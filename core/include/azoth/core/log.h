// The logging hook: silent unless the program sets one.
#pragma once

#include <functional>
#include <string_view>

namespace azoth {

enum class LogLevel { Info, Warning, Error };

// Called from any thread, also while others wait for what that thread has to do next. So it must be quick, and must not
// throw, call back into the store, or wait for a thread that calls the store.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

// Process-wide; an empty sink silences. Setting it while stores are open is safe.
void set_log_sink(LogSink sink);

void log(LogLevel level, std::string_view message) noexcept;
// One message; lost, as any, where there is no memory for it.
void log(LogLevel level, std::string_view what, std::string_view why) noexcept;

}  // namespace azoth
