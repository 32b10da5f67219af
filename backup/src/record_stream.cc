#include "record_stream.h"

#include <utility>

#include "azoth/core/thread.h"

#include "block_file.h"

namespace azoth::backup {

namespace {
constexpr std::size_t kSlabBytes = std::size_t{1} << 20;
constexpr std::size_t kSlabRecords = std::size_t{1} << 16;  // they may be empty
constexpr std::size_t kMaxReady = 4;
constexpr std::size_t kMaxReadyBytes = 2 * kMaxReady * kSlabBytes;
}  // namespace

std::vector<ManifestFile> RecordStream::files_of(const Manifest& manifest, FileKind kind) {
  std::vector<ManifestFile> files;
  for (const ManifestFile& file : manifest.files) {
    if (file.kind == kind) files.push_back(file);
  }
  return files;
}

RecordStream::RecordStream(const SnapshotSet& set, const Manifest& manifest, std::vector<ManifestFile> files,
                           SnapshotSet::Reads reads, std::function<void(std::uint64_t)> on_bytes,
                           std::function<void(std::string_view)> on_record)
    : set_(set),
      manifest_(manifest),
      files_(std::move(files)),
      reads_(reads),
      on_bytes_(std::move(on_bytes)),
      on_record_(std::move(on_record)),
      thread_(start_thread([this] { read_all(); })) {}

RecordStream::~RecordStream() {
  {
    std::lock_guard lock(mutex_);
    given_up_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

std::optional<std::string_view> RecordStream::next() {
  if (next_ == current_.ends.size()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
    if (ready_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return std::nullopt;
    }
    current_ = std::move(ready_.front());
    ready_.pop_front();
    next_ = 0;
    ready_bytes_ -= current_.bytes.size();
    changed_.notify_all();
  }
  const std::size_t begin = next_ == 0 ? 0 : current_.ends[next_ - 1];
  const std::size_t end = current_.ends[next_++];
  return std::string_view(current_.bytes).substr(begin, end - begin);
}

void RecordStream::read_all() {
  std::exception_ptr failure;
  try {
    for (const ManifestFile& file : files_) {
      if (!given_up()) read_file(file);
    }
    if (!filling_.ends.empty()) hand_over();
  } catch (...) {
    failure = std::current_exception();
  }
  std::lock_guard lock(mutex_);
  failure_ = failure;
  ended_ = true;
  changed_.notify_all();
}

void RecordStream::read_file(const ManifestFile& file) {
  const auto reader = set_.read(manifest_, file, reads_);
  std::uint64_t told = 0;
  const auto tell = [&](std::uint64_t offset) {
    if (on_bytes_) on_bytes_(offset - told);
    told = offset;
  };
  while (const auto record = reader->next()) {
    if (on_record_) on_record_(*record);
    filling_.bytes.append(*record);
    filling_.ends.push_back(filling_.bytes.size());
    if (filling_.bytes.size() < kSlabBytes && filling_.ends.size() < kSlabRecords) continue;
    hand_over();
    tell(reader->offset());
    if (given_up()) return;
  }
  tell(reader->offset());
}

void RecordStream::hand_over() {
  std::unique_lock lock(mutex_);
  const auto has_room = [this] {  // a slab is as large as its last record
    return ready_.empty() || (ready_.size() < kMaxReady && ready_bytes_ + filling_.bytes.size() <= kMaxReadyBytes);
  };
  changed_.wait(lock, [&] { return has_room() || given_up_; });
  ready_bytes_ += filling_.bytes.size();
  ready_.push_back(std::exchange(filling_, {}));
  changed_.notify_all();
}

bool RecordStream::given_up() {
  std::lock_guard lock(mutex_);
  return given_up_;
}

}  // namespace azoth::backup
