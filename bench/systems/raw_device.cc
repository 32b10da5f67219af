#include <algorithm>
#include <mutex>
#include <string>

#include "azoth/core/file.h"
#include "fill.h"
#include "system.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kFileBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kHeaderBytes = 64;  // of a batch in Azoth's journal, which also begins on such a boundary

// What Azoth's journal takes for this change alone.
std::uint64_t journal_bytes(const Change& change) {
  return (kHeaderBytes + to_write_set(change).bytes() + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes;
}

class RawDevice final : public System {
 public:
  explicit RawDevice(const std::filesystem::path& directory) {
    create_zero_filled(FileSystem::posix(), directory / "raw", kFileBytes);
    file_ = FileSystem::posix().open(directory / "raw", FileSystem::Mode::Write);
  }

  std::unique_ptr<Client> client() override;

  void write(std::string_view bytes) {
    std::lock_guard lock(mutex_);
    if (offset_ + bytes.size() > kFileBytes) offset_ = 0;
    file_->write_at(offset_, bytes);
    file_->sync_data();
    offset_ += bytes.size();
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<File> file_;
  std::uint64_t offset_ = 0;
};

class RawClient final : public Client {
 public:
  explicit RawClient(RawDevice& device) : device_(device) {}

  void commit(const Change& change) override {
    if (bytes_.empty()) bytes_.resize(journal_bytes(change));  // all changes of a run have one size
    std::copy(change.value.begin(), change.value.end(), bytes_.begin());
    device_.write(bytes_);
  }

 private:
  RawDevice& device_;
  std::string bytes_;
};

std::unique_ptr<Client> RawDevice::client() { return std::make_unique<RawClient>(*this); }

}  // namespace

SystemKind raw_device() {
  return {"raw device", Safety::PowerCut,
          [](const std::filesystem::path& directory) { return std::make_unique<RawDevice>(directory); }};
}

}  // namespace azoth::bench
