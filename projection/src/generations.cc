#include "generations.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/projection/projection.h"
#include "sqlite.h"

namespace azoth {

namespace {

using Path = std::filesystem::path;

constexpr std::string_view kPointerHead = "azoth projection, generation ";
constexpr int kReadAttempts = 100;
constexpr std::chrono::milliseconds kBetweenAttempts{1};
constexpr std::size_t kMaxNoteBytes = std::size_t{64} << 10;

std::optional<Generation> parse_number(std::string_view text) {
  Generation number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc{} && end == text.data() + text.size() && number > 0 && text.front() != '0';
  if (!whole) return std::nullopt;
  return number;
}

std::optional<Generation> read_pointer(FileSystem& fs, const Path& pointer) {
  std::string text;
  try {
    text = read_file(fs, pointer, 4096);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NotFound) return std::nullopt;
    throw;
  }
  std::string_view rest = text;
  if (rest.starts_with(kPointerHead) && rest.ends_with('\n')) {
    rest.remove_prefix(kPointerHead.size());
    rest.remove_suffix(1);
    if (auto number = parse_number(rest)) return number;
  }
  throw Error(ErrorCode::Corruption, pointer.string() + " is damaged: it does not name a generation");
}

Path generation_path(const Path& folder, std::string_view name, Generation generation, std::string_view end) {
  return folder / (std::string(name) + "." + std::to_string(generation) + std::string(end));
}

LockFile lock_writer(FileSystem& fs, const Path& folder, const std::string& name) {
  Projection::check_name(name);
  fs.make_directory(folder);
  fs.sync_directory(real_folder(folder).parent_path());  // whoever made it may have died before
  const Path path = writer_lock_path(folder, name);
  if (auto lock = LockFile::try_lock(path, LockFile::Mode::Exclusive)) return std::move(*lock);
  std::optional<std::string> pid = LockFile::last_holder(path);
  throw Error(ErrorCode::Locked, "the projection " + name + " is kept up to date by " +
                                     (pid ? "process " + *pid : "another process") + "; stop it there first");
}

void remove_if_there(FileSystem& fs, const Path& path) {
  if (fs.exists(path)) fs.remove(path);
}

}  // namespace

Path writer_lock_path(const Path& projections, std::string_view name) {
  return projections / (std::string(name) + ".lock");
}

// The lock file may be removed between looking at the pointer and locking it: then the pointer has moved.
std::optional<ReadGeneration> read_current_generation(FileSystem& fs, const Path& projections, std::string_view name) {
  Projection::check_name(name);
  const Path pointer = projections / std::string(name);
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kBetweenAttempts);
    std::optional<Generation> number = read_pointer(fs, pointer);
    if (!number) return std::nullopt;
    try {
      auto lock = LockFile::try_lock(generation_path(projections, name, *number, ".lock"), LockFile::Mode::Shared);
      if (lock && read_pointer(fs, pointer) == number) {
        return ReadGeneration{*number, generation_path(projections, name, *number, ".db"), std::move(*lock)};
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound || read_pointer(fs, pointer) == number) throw;
    }
  }
  throw Error(ErrorCode::Backpressure, "the projection " + std::string(name) + " is replaced all the time; try again");
}

std::vector<std::string> projection_names(FileSystem& fs, const Path& projections) {
  std::vector<std::string> names;
  for (std::string& name : known_names(fs, projections)) {
    if (fs.exists(projections / name)) names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> known_names(FileSystem& fs, const Path& projections) {
  std::set<std::string> names;
  if (!fs.exists(projections)) return {};
  for (const std::string& file : fs.list(projections)) {
    std::string name = file.substr(0, file.find('.'));
    if (Projection::is_name(name)) names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> projection_files(FileSystem& fs, const Path& projections, std::string_view name) {
  std::vector<std::string> files;
  if (!fs.exists(projections)) return files;
  for (std::string& file : fs.list(projections)) {
    if (file.substr(0, file.find('.')) == name) files.push_back(std::move(file));
  }
  return files;
}

Path generation_file(const Path& folder, std::string_view name, Generation generation) {
  return generation_path(folder, name, generation, ".db");
}

Path declaration_path(const Path& projections, std::string_view name) {
  return projections / (std::string(name) + ".sql");
}

std::optional<std::string> noted_failure(FileSystem& fs, const Path& projections, std::string_view name) {
  const Path path = writer_lock_path(projections, name);
  if (!fs.exists(path)) return std::nullopt;
  std::string text = read_file(fs, path, kMaxNoteBytes);
  if (text.size() <= LockFile::kPidBytes) return std::nullopt;
  text.erase(0, LockFile::kPidBytes);
  return text;
}

Generations::Generations(FileSystem& fs, const Path& projections, std::string name)
    : fs_(fs), folder_(projections), name_(std::move(name)), lock_(lock_writer(fs_, folder_, name_)) {}

Path Generations::file(Generation generation) const { return generation_path(folder_, name_, generation, ".db"); }

std::optional<Generation> Generations::current() const { return read_pointer(fs_, folder_ / name_); }

std::vector<Generation> Generations::all() const {
  std::set<Generation> numbers;
  const std::string start = name_ + ".";
  for (const std::string& entry : fs_.list(folder_)) {
    if (!entry.starts_with(start)) continue;
    std::string_view rest = std::string_view(entry).substr(start.size());
    if (auto number = parse_number(rest.substr(0, rest.find('.')))) numbers.insert(*number);
  }
  return {numbers.begin(), numbers.end()};
}

Generation Generations::next() const {
  std::vector<Generation> numbers = all();
  Generation highest = numbers.empty() ? 0 : numbers.back();
  try {
    highest = std::max(highest, current().value_or(0));
  } catch (const Error& error) {  // a pointer that cannot be read
    if (!error.corruption()) throw;
  }
  return highest + 1;
}

void Generations::make_lock(Generation generation) const {
  const Path path = generation_path(folder_, name_, generation, ".lock");
  if (!fs_.exists(path)) fs_.open(path, FileSystem::Mode::Create).reset();
}

void Generations::make_current(Generation generation) {
  make_lock(generation);
  fs_.sync_directory(folder_);  // the file is there before the pointer to it
  write_file_atomically(fs_, folder_ / name_, std::string(kPointerHead) + std::to_string(generation) + "\n");
}

// The database goes first: what is left of an interrupted removal is found again by any of its names.
void Generations::remove(Generation generation) const {
  for (std::string_view end : {".db", ".db-wal", ".db-shm", ".db-journal", ".lock"}) {
    AZOTH_FAULT("projection.remove");
    remove_if_there(fs_, generation_path(folder_, name_, generation, end));
  }
}

void Generations::note_failure(std::string_view failure) noexcept {
  if (!lock_) return;
  failure = failure.substr(0, kMaxNoteBytes - LockFile::kPidBytes);
  // Others are told as well as it goes: what cannot be written here was reported where it happened.
  if (::ftruncate(lock_->fd(), LockFile::kPidBytes) != 0) return;
  if (::pwrite(lock_->fd(), failure.data(), failure.size(), LockFile::kPidBytes) < 0) return;
}

// The declaration goes first, so that nobody begins it anew; then the pointer, so that nobody begins to read. Each file
// that is left tells the next one that there is something to finish.
void Generations::remove_all() {
  std::vector<LockFile> readers;
  for (Generation generation : all()) {
    const Path path = generation_path(folder_, name_, generation, ".lock");
    if (!fs_.exists(path)) continue;
    auto lock = LockFile::try_lock(path, LockFile::Mode::Unsigned);
    if (!lock) {
      throw Error(ErrorCode::Locked, "the projection " + name_ + " is being read; drop it when nobody reads it");
    }
    readers.push_back(std::move(*lock));
  }
  const Path lock = writer_lock_path(folder_, name_);
  for (const Path& path : {declaration_path(folder_, name_), folder_ / name_}) {
    AZOTH_FAULT("projection.drop");
    remove_if_there(fs_, path);
  }
  fs_.sync_directory(folder_);
  for (Generation generation : all()) remove(generation);
  for (const std::string& file : projection_files(fs_, folder_, name_)) {
    AZOTH_FAULT("projection.drop");
    if (folder_ / file != lock) fs_.remove(folder_ / file);
  }
  fs_.sync_directory(folder_);
  AZOTH_FAULT("projection.drop");
  remove_if_there(fs_, lock);
}

std::size_t Generations::remove_old() const {
  std::size_t left = 0;
  const Generation kept = current().value_or(0);
  for (Generation generation : all()) {
    if (generation >= kept) break;
    // Its lock file may be gone already; nobody can begin to read it any more.
    auto lock = LockFile::try_lock(generation_path(folder_, name_, generation, ".lock"), LockFile::Mode::Unsigned);
    if (!lock) {
      ++left;
      continue;
    }
    remove(generation);
  }
  return left;
}

}  // namespace azoth
