// The logging hook: silent unless the program sets one.
#pragma once

#include <functional>
#include <string_view>

namespace azoth {

enum class LogLevel { Info, Warning, Error };

// Called from any thread, never under one of Azoth's locks. It must not throw and must not call back into the store.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

// Process-wide; an empty sink silences. Setting it while stores are open is safe.
void set_log_sink(LogSink sink);

void log(LogLevel level, std::string_view message) noexcept;
// One message; lost, as any, where there is no memory for it.
void log(LogLevel level, std::string_view what, std::string_view why) noexcept;

}  // namespace azoth
