#include "context.h"

#include <fmt/format.h>
#include <unistd.h>

#include <new>

#include "azoth/core/log.h"
#include "text.h"

namespace azoth::cli {

void send_log_to_stderr(const Context& context) {
  set_log_sink([json = context.json()](LogLevel level, std::string_view message) {
    if (level == LogLevel::Info) return;
    std::string_view name = level == LogLevel::Warning ? "warning" : "error";
    if (json) {
      write_message(JsonObject().text("log", name).text("message", terminal_safe(message)).finish());
    } else {
      write_message(fmt::format("azoth: {}: {}", name, message));
    }
  });
}

Exit exit_for(const Error& error) {
  switch (error.code()) {
    case ErrorCode::NotFound:
      return Exit::NotFound;
    case ErrorCode::Rejected:
    case ErrorCode::CommandMismatch:
    case ErrorCode::AlreadyExists:
    case ErrorCode::Locked:
    case ErrorCode::AlreadyOpen:
    case ErrorCode::StillRead:
    case ErrorCode::Closed:
    case ErrorCode::LockTimeout:
    case ErrorCode::Backpressure:
    case ErrorCode::ReadersFull:
    case ErrorCode::Sealed:
    case ErrorCode::Paused:
    case ErrorCode::ReadOnly:
      return Exit::Refused;
    case ErrorCode::Corruption:
      return Exit::Corrupt;
    default:
      return Exit::Failure;
  }
}

namespace {

void write_line(std::string line) {
  line += '\n';
  try {
    write_all(STDERR_FILENO, line, "writing to standard error");
  } catch (...) {  // there is nowhere left to say so
  }
}

}  // namespace

void write_message(std::string_view text) { write_line(one_line(text)); }

void report(const Context& context, std::string_view code, std::string_view message) {
  JsonObject object;
  object.text("error", code).text("message", terminal_safe(message));
  report_object(context, object, message);
}

void report(const Context& context, const Error& error) {
  std::string message = context.done.empty() ? error.what() : context.done + ", but " + error.what();
  if (error.code() == ErrorCode::Sealed) {
    message += fmt::format(": azoth --db {} unseal", context.globals.directory.string());
  }
  report(context, error_name(error.code()), message);
}

void report_object(const Context& context, JsonObject& object, std::string_view text) {
  if (context.json()) return write_line(terminal_safe_json(object.finish()));
  write_message(fmt::format("azoth: {}", text));
}

void require_store(const Context& context) {
  const std::filesystem::path& directory = context.globals.directory;
  if (Store::exists(directory)) return;
  throw Error(ErrorCode::NotFound,
              fmt::format("no store in {0}; create one with: azoth --db {0} init", directory.string()));
}

namespace {

template <class Open>
Db open_with(const Context& context, Open open) {
  send_log_to_stderr(context);
  try {
    return open(context.globals.directory, context.globals.options);
  } catch (const Error& error) {
    std::error_code unknown;
    const bool has_lost_something = std::filesystem::exists(context.globals.directory / "journal", unknown);
    if (error.code() == ErrorCode::NotFound && !has_lost_something) require_store(context);
    throw;
  }
}

}  // namespace

Db open_store(const Context& context) { return open_with(context, Db::open); }

Db open_store_for_reading(const Context& context) { return open_with(context, Db::open_read_only); }

void require_directory(const std::filesystem::path& directory) {
  std::error_code unknown;
  if (std::filesystem::exists(directory, unknown) || unknown) return;  // what cannot be told shows when it is used
  throw Error(ErrorCode::Io, fmt::format("there is no directory {}", directory.string()));
}

void require_outside_of_store(const Context& context, const std::filesystem::path& path, std::string_view what) {
  std::error_code error;
  const auto store = std::filesystem::canonical(context.globals.directory, error);
  if (error) return;  // there is none, which is said when it is opened
  const auto place = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  const auto [end, rest] = std::mismatch(store.begin(), store.end(), place.begin(), place.end());
  if (error || end != store.end()) return;
  throw UsageError(fmt::format("{} is in the directory of the store; put {} elsewhere", place.string(), what));
}

std::string argument_bytes(const std::string& text, bool hex, std::string_view what) {
  if (!hex) return text;
  if (std::optional<std::string> bytes = from_hex(text)) return *std::move(bytes);
  throw UsageError(fmt::format("{} must be hex digits, two for each byte, because --hex was given", what));
}

namespace {

Exit report_current_exception(const Context& context) {
  try {
    throw;
  } catch (const OutputClosed&) {
    return Exit::Failure;
  } catch (const Interrupted&) {
    return Exit::Ok;
  } catch (const Error& error) {
    report(context, error);
    return exit_for(error);
  } catch (const UsageError& error) {
    report(context, "usage", error.what());
    return Exit::Usage;
  } catch (const std::bad_alloc&) {
    report(context, error_name(ErrorCode::OutOfMemory), "out of memory");
    return Exit::Failure;
  } catch (const std::exception& error) {
    report(context, "internal", error.what());
    return Exit::Failure;
  }
}

}  // namespace

Exit run_reported(Context& context, const std::function<Exit(Context&)>& command) {
  Exit exit = Exit::Failure;
  try {
    exit = command(context);
  } catch (...) {
    exit = report_current_exception(context);
  }
  try {
    context.out.flush();  // also what was printed before something failed
  } catch (const Error& error) {
    if (exit == Exit::Ok) exit = exit_for(error);
    report(context, error);
  } catch (...) {
    Exit failed = report_current_exception(context);
    if (exit == Exit::Ok) exit = failed;
  }
  return exit;
}

}  // namespace azoth::cli
