// Another file system's files, with a call in front of each open, each read and each sync of a directory. A call that
// throws takes the place of what it stands in front of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/file.h"

namespace azoth::test {

class WatchedFiles final : public FileSystem {
 public:
  struct Calls {
    std::function<void(const std::filesystem::path&)> open = [](const auto&) {};
    std::function<void(const std::filesystem::path&, std::size_t bytes)> read = [](const auto&, std::size_t) {};
    std::function<void(const std::filesystem::path&)> sync_directory = [](const auto&) {};
  };

  explicit WatchedFiles(Calls calls, FileSystem& below = posix()) : calls_(std::move(calls)), below_(below) {}

  std::unique_ptr<File> open(const std::filesystem::path& path, Mode mode) override {
    calls_.open(path);
    return std::make_unique<WatchedFile>(below_.open(path, mode), path, calls_);
  }
  bool exists(const std::filesystem::path& path) override { return below_.exists(path); }
  std::vector<std::string> list(const std::filesystem::path& directory) override { return below_.list(directory); }
  void make_directory(const std::filesystem::path& path) override { below_.make_directory(path); }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override { below_.rename(from, to); }
  void remove(const std::filesystem::path& path) override { below_.remove(path); }
  void sync_directory(const std::filesystem::path& path) override {
    calls_.sync_directory(path);
    below_.sync_directory(path);
  }

 private:
  class WatchedFile final : public File {
   public:
    WatchedFile(std::unique_ptr<File> below, std::filesystem::path path, const Calls& calls)
        : below_(std::move(below)), path_(std::move(path)), calls_(calls) {}
    std::size_t read_at(std::uint64_t offset, char* to, std::size_t size) override {
      calls_.read(path_, size);
      return below_->read_at(offset, to, size);
    }
    void write_at(std::uint64_t offset, std::string_view bytes) override { below_->write_at(offset, bytes); }
    void sync_data() override { below_->sync_data(); }
    void truncate(std::uint64_t size) override { below_->truncate(size); }
    std::uint64_t size() override { return below_->size(); }
    void allocate(std::uint64_t size) override { below_->allocate(size); }
    void will_need(std::uint64_t offset, std::uint64_t size) override { below_->will_need(offset, size); }

   private:
    const std::unique_ptr<File> below_;
    const std::filesystem::path path_;
    const Calls& calls_;
  };

  const Calls calls_;
  FileSystem& below_;
};

}  // namespace azoth::test
