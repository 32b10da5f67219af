#include "azoth/canonical/retention.h"

#include <charconv>
#include <chrono>
#include <iterator>
#include <sstream>
#include <thread>
#include <utility>

#include "azoth/core/clock.h"
#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"

namespace azoth {

namespace {

constexpr std::string_view kFormat = "azoth retained set 1";
constexpr std::string_view kLockName = "lock";
constexpr std::size_t kMaxFileBytes = 16384;
constexpr std::size_t kMaxPlaceBytes = 8192;
constexpr std::chrono::seconds kLockPatience{10};
constexpr std::chrono::milliseconds kLockPause{2};

std::string check_of(std::string_view text) {
  std::string bytes;
  codec::append(bytes, checksum64(text));
  return to_hex(bytes);
}

std::string encode(const RetainedSet& set) {
  std::string text(kFormat);
  text += "\nset " + set.set_id.text() + "\ntimeline " + set.timeline.text() + "\ncommit " +
          std::to_string(set.commit) + "\nlimit " + std::to_string(set.limit_bytes) + "\nplace " +
          set.place.substr(0, kMaxPlaceBytes) + "\n";
  return text + "check " + check_of(text) + "\n";
}

[[noreturn]] void damaged(const std::filesystem::path& path) {
  throw Error(ErrorCode::Corruption, path.string() + " is damaged: it does not say what a snapshot set needs");
}

// A line's value; the lines come in their order, each with its word.
std::string take(std::istringstream& lines, const std::string& word, const std::filesystem::path& path) {
  std::string line;
  if (!std::getline(lines, line) || !line.starts_with(word + " ")) damaged(path);
  return line.substr(word.size() + 1);
}

std::uint64_t take_number(std::istringstream& lines, const std::string& word, const std::filesystem::path& path) {
  const std::string text = take(lines, word, path);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) damaged(path);
  return number;
}

RetainedSet decode(const std::string& text, const std::filesystem::path& path) {
  const std::size_t end = text.rfind("check ");
  if (end == std::string::npos || text.substr(end) != "check " + check_of(text.substr(0, end)) + "\n") damaged(path);
  std::istringstream lines(text.substr(0, end));
  std::string format;
  if (!std::getline(lines, format) || format != kFormat) damaged(path);
  RetainedSet set;
  const auto id = Uuid::parse(take(lines, "set", path));
  const auto timeline = Uuid::parse(take(lines, "timeline", path));
  if (!id || !timeline || id->text() != path.filename()) damaged(path);
  set.set_id = *id;
  set.timeline = *timeline;
  set.commit = take_number(lines, "commit", path);
  set.limit_bytes = take_number(lines, "limit", path);
  // Whatever bytes a path has: all that is left.
  std::string rest(std::istreambuf_iterator<char>(lines), {});
  if (!rest.starts_with("place ") || !rest.ends_with("\n")) damaged(path);
  set.place = rest.substr(6, rest.size() - 7);
  return set;
}

// Of another kind than what set() makes.
bool is_no_file(const std::filesystem::path& path) {
  std::error_code error;
  return !std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error)) && !error;
}

}  // namespace

Retention::Retention(const std::filesystem::path& store_directory, FileSystem& fs)
    : store_(store_directory), folder_(store_directory / "retain"), fs_(fs) {}

std::filesystem::path Retention::file(const Uuid& set_id) const { return folder_ / set_id.text(); }

bool Retention::in_use() const { return fs_.exists(folder_); }

std::vector<RetainedSet> Retention::list(std::vector<std::string>* unreadable) const {
  std::vector<RetainedSet> sets;
  if (!in_use()) return sets;
  for (const std::string& name : fs_.list(folder_)) {
    if (!Uuid::parse(name)) continue;
    try {
      sets.push_back(decode(read_file(fs_, folder_ / name, kMaxFileBytes), folder_ / name));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::NotFound) continue;  // forgotten since it was listed
      if (!error.corruption() && !is_no_file(folder_ / name)) throw;
      if (unreadable != nullptr) unreadable->push_back(error.what());
    }
  }
  return sets;
}

std::optional<RetainedSet> Retention::find(const Uuid& set_id) const {
  for (RetainedSet& set : list()) {
    if (set.set_id == set_id) return std::move(set);
  }
  return std::nullopt;
}

std::optional<LockFile> Retention::try_lock() const {
  return LockFile::try_lock(folder_ / kLockName, LockFile::Mode::Exclusive);
}

LockFile Retention::lock() const {
  const Deadline until = deadline_after(kLockPatience);
  while (true) {
    if (auto lock = try_lock()) return std::move(*lock);
    if (std::chrono::steady_clock::now() >= until) {
      throw Error(ErrorCode::Backpressure, "another process holds " + (folder_ / kLockName).string() + "; try again");
    }
    std::this_thread::sleep_for(kLockPause);
  }
}

void Retention::set(const RetainedSet& set) {
  fs_.make_directory(folder_);
  fs_.sync_directory(store_);  // whoever made it may have died before
  const LockFile held = lock();
  for (const std::string& name : fs_.list(folder_)) {  // what a crash has left
    if (name.ends_with(".tmp")) fs_.remove(folder_ / name);
  }
  write_file_atomically(fs_, file(set.set_id), encode(set));
}

bool Retention::forget(const Uuid& set_id) {
  if (!in_use()) return false;
  const LockFile held = lock();
  if (!fs_.exists(file(set_id))) return false;
  remove(set_id);
  return true;
}

void Retention::remove(const Uuid& set_id) {
  fs_.remove(file(set_id));
  fs_.sync_directory(folder_);
}

}  // namespace azoth
