#include "query_pool.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "azoth/core/error.h"

namespace azoth {

namespace {

constexpr std::size_t kMaxIdle = 16;
constexpr std::chrono::minutes kMaxIdleTime{1};

FileIdentity identity(const std::filesystem::path& file) {
  struct stat status {};
  if (lstat(file.c_str(), &status) != 0) {
    if (errno != ENOENT) throw_errno(errno, "looking at " + file.string());
    throw Error(ErrorCode::Corruption, file.string() + " is gone; build the projection anew");
  }
  return {status.st_dev, status.st_ino};
}

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "there are none";
  std::string list = "there are";
  for (const std::string& name : names) list += (&name == &names.front() ? " " : ", ") + name;
  return list;
}

}  // namespace

QueryLease::QueryLease(std::shared_ptr<QueryPool> pool, std::unique_ptr<Reader> reader)
    : pool_(std::move(pool)), reader_(std::move(reader)) {}
QueryLease::QueryLease(QueryLease&&) noexcept = default;
QueryLease::~QueryLease() {
  if (reader_) pool_->give(std::move(reader_));
}
QueryConnection& QueryLease::connection() const { return *reader_->connection; }

std::vector<ReadGeneration> QueryPool::generations(std::span<const std::string> names) {
  std::vector<ReadGeneration> all;
  for (const std::string& name : names) {
    auto generation = read_current_generation(fs_, folder_, name);
    if (!generation) {
      throw Error(ErrorCode::NotFound, "there is no projection " + name + "; " + listed(projections()));
    }
    all.push_back(std::move(*generation));
  }
  return all;
}

QueryLease QueryPool::take(std::span<const std::string> names) {
  std::vector<ReadGeneration> held = generations(names);
  std::vector<FileIdentity> files;
  for (const ReadGeneration& generation : held) files.push_back(identity(generation.file));
  std::unique_ptr<Reader> reader = take_idle(names, files);
  if (!reader) {
    std::vector<QueryConnection::Database> databases;
    for (std::size_t i = 0; i < held.size(); ++i) databases.push_back({names[i], held[i].file});
    reader = std::make_unique<Reader>();
    reader->projections.assign(names.begin(), names.end());
    reader->files = std::move(files);
    reader->connection = std::make_unique<QueryConnection>(std::move(databases));
  }
  reader->generations = std::move(held);
  return {shared_from_this(), std::move(reader)};
}

std::unique_ptr<QueryLease::Reader> QueryPool::take_idle(std::span<const std::string> names,
                                                         const std::vector<FileIdentity>& files) {
  std::vector<std::unique_ptr<Reader>> outdated;  // closed without the mutex
  std::unique_ptr<Reader> found;
  const auto oldest = std::chrono::steady_clock::now() - kMaxIdleTime;
  std::lock_guard lock(mutex_);
  outdated.reserve(idle_.size());  // so that nothing fails while places are empty
  for (auto at = idle_.rbegin(); at != idle_.rend(); ++at) {
    Reader& reader = **at;
    if (std::ranges::equal(reader.projections, names)) {
      if (reader.files != files) {
        outdated.push_back(std::move(*at));
      } else if (!found) {
        found = std::move(*at);
      }
    }
    if (*at && reader.idle_since < oldest) outdated.push_back(std::move(*at));
  }
  std::erase(idle_, nullptr);
  return found;
}

// The connection first: when the locks are free, nothing reads the files.
void QueryPool::give(std::unique_ptr<Reader> reader) noexcept {
  if (!reader->connection->usable()) reader->connection.reset();
  const bool keep = reader->connection != nullptr;
  reader->generations.clear();
  reader->idle_since = std::chrono::steady_clock::now();
  std::unique_ptr<Reader> oldest;
  std::lock_guard lock(mutex_);
  if (!keep || closed_) return;
  try {
    if (idle_.size() >= kMaxIdle) {
      oldest = std::move(idle_.front());
      idle_.erase(idle_.begin());
    }
    idle_.push_back(std::move(reader));
  } catch (...) {  // no memory: it is closed
  }
}

void QueryPool::close_idle() {
  std::vector<std::unique_ptr<Reader>> closing;
  std::lock_guard lock(mutex_);
  closing.swap(idle_);
}

void QueryPool::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  close_idle();
}

}  // namespace azoth
