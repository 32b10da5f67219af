#include "sorted_runs.h"

#include <algorithm>
#include <memory>
#include <queue>

#include "azoth/core/codec.h"

namespace azoth {

namespace {
constexpr std::size_t kLengthBytes = sizeof(std::uint16_t);
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
static_assert(kBufferBytes < (std::size_t{1} << 17));
constexpr std::size_t kMostAtOnce = 64;  // runs that are read: each takes a descriptor and a buffer

// A file that is read front to back.
class RunReader {
 public:
  RunReader(FileSystem& fs, const std::filesystem::path& path) : file_(fs.open(path, FileSystem::Mode::Read)) {}

  bool next() {
    if (!fill(kLengthBytes)) return false;
    const std::size_t size = kLengthBytes + codec::load<std::uint16_t>(buffer_.data() + used_);
    if (!fill(size)) return false;
    current_ = std::string_view(buffer_).substr(used_ + kLengthBytes, size - kLengthBytes);
    used_ += size;
    return true;
  }
  std::string_view current() const { return current_; }

 private:
  bool fill(std::size_t size) {
    if (buffer_.size() - used_ >= size) return true;
    buffer_.erase(0, used_);
    used_ = 0;
    const std::size_t have = buffer_.size();
    buffer_.resize(std::max(size, kBufferBytes));
    const std::size_t got = file_->read_at(offset_, buffer_.data() + have, buffer_.size() - have);
    offset_ += got;
    buffer_.resize(have + got);
    return buffer_.size() >= size;
  }

  std::unique_ptr<File> file_;
  std::uint64_t offset_ = 0;
  std::string buffer_;
  std::size_t used_ = 0;
  std::string_view current_;
};

// Several runs as one.
class Merge {
 public:
  void add(FileSystem& fs, const std::filesystem::path& path) {
    readers_.push_back(std::make_unique<RunReader>(fs, path));
    if (readers_.back()->next()) next_.push(readers_.back().get());
  }
  bool empty() const { return next_.empty(); }
  std::string_view first() const { return next_.top()->current(); }
  void pop() {
    RunReader* reader = next_.top();
    next_.pop();
    if (reader->next()) next_.push(reader);
  }

 private:
  struct Later {
    bool operator()(const RunReader* a, const RunReader* b) const { return a->current() > b->current(); }
  };
  std::vector<std::unique_ptr<RunReader>> readers_;
  std::priority_queue<RunReader*, std::vector<RunReader*>, Later> next_;
};

}  // namespace

class SortedRuns::Writer {
 public:
  Writer(FileSystem& fs, const std::filesystem::path& path) : file_(fs.open(path, FileSystem::Mode::Create)) {}

  void add(std::string_view bytes) {
    codec::append(buffer_, static_cast<std::uint16_t>(bytes.size()));
    buffer_.append(bytes);
    if (buffer_.size() >= kBufferBytes) finish();
  }
  void finish() {
    file_->write_at(written_, buffer_);
    written_ += buffer_.size();
    buffer_.clear();
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t written_ = 0;
  std::string buffer_;
};

SortedRuns::SortedRuns(FileSystem& fs, std::filesystem::path file, std::size_t run_bytes)
    : fs_(fs), file_(std::move(file)), run_bytes_(run_bytes) {}

SortedRuns::~SortedRuns() {
  try {
    for (const std::size_t run : runs_) fs_.remove(path(run));
  } catch (const std::exception&) {  // whoever gave them a place clears it
  }
}

std::filesystem::path SortedRuns::path(std::size_t run) const {
  return file_.string() + "." + std::to_string(run) + ".tmp";
}

SortedRuns::Writer SortedRuns::begin_run() {
  runs_.push_back(next_run_++);  // first, so that the file is removed whatever becomes of it
  return Writer(fs_, path(runs_.back()));
}

std::string_view SortedRuns::at(std::size_t offset) const {
  return std::string_view(bytes_).substr(offset + kLengthBytes, codec::load<std::uint16_t>(bytes_.data() + offset));
}

void SortedRuns::add(std::string_view bytes) {
  if (bytes_.size() + kLengthBytes + bytes.size() > run_bytes_ && !bytes_.empty()) spill();
  offsets_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  codec::append(bytes_, static_cast<std::uint16_t>(bytes.size()));
  bytes_.append(bytes);
}

// Most comparisons are settled by the first bytes, which lie together; and what comes in order stays as it is.
void SortedRuns::sort() {
  const auto less = [this](std::uint32_t a, std::uint32_t b) { return at(a) < at(b); };
  if (std::is_sorted(offsets_.begin(), offsets_.end(), less)) return;
  struct Entry {
    std::uint64_t first;  // eight bytes, big-endian, zeros behind the end
    std::uint64_t second;
    std::uint32_t offset;
  };
  std::vector<Entry> entries;
  entries.reserve(offsets_.size());
  for (const std::uint32_t offset : offsets_) {
    char prefix[16] = {};
    at(offset).copy(prefix, sizeof prefix);
    entries.push_back({codec::load_big(prefix), codec::load_big(prefix + 8), offset});
  }
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    return less(a.offset, b.offset);
  });
  std::transform(entries.begin(), entries.end(), offsets_.begin(), [](const Entry& entry) { return entry.offset; });
}

void SortedRuns::spill() {
  sort();
  Writer run = begin_run();
  for (const std::uint32_t offset : offsets_) run.add(at(offset));
  run.finish();
  bytes_.clear();
  offsets_.clear();
}

// The oldest ones, which are the shortest that there are.
void SortedRuns::merge_some() {
  Merge merge;
  for (std::size_t i = 0; i < kMostAtOnce; ++i) merge.add(fs_, path(runs_[i]));
  Writer run = begin_run();
  for (; !merge.empty(); merge.pop()) run.add(merge.first());
  run.finish();
  for (std::size_t i = 0; i < kMostAtOnce; ++i) {
    fs_.remove(path(runs_.front()));
    runs_.pop_front();
  }
}

void SortedRuns::for_each(const std::function<void(std::string_view)>& each) {
  sort();
  while (runs_.size() > kMostAtOnce) merge_some();
  Merge merge;
  for (const std::size_t run : runs_) merge.add(fs_, path(run));
  auto in_memory = offsets_.begin();
  while (!merge.empty() || in_memory != offsets_.end()) {
    const bool memory = in_memory != offsets_.end() && (merge.empty() || at(*in_memory) <= merge.first());
    if (memory) {
      each(at(*in_memory++));
    } else {
      each(merge.first());
      merge.pop();
    }
  }
}

}  // namespace azoth
