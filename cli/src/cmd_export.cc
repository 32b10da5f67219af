#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <utility>

#include "commands.h"
#include "export_line.h"
#include "interruption.h"
#include "links.h"
#include "progress.h"
#include "text.h"

namespace azoth::cli {
namespace {

namespace fs = std::filesystem;

// A file that appears under its name only when all of it is written and synced; what was there stays until then.
class ReplacedFile {
 public:
  explicit ReplacedFile(fs::path path) : path_(std::move(path)) {
    constexpr std::string_view kSuffix = ".partial";
    temporary_ = fmt::format("{}.XXXXXX{}", path_.string(), kSuffix);
    fd_ = ::mkostemps(temporary_.data(), static_cast<int>(kSuffix.size()), O_CLOEXEC);
    if (fd_ >= 0) return;
    // What cannot be written is a failure, also where a directory is not there.
    if (errno == ENOENT) throw Error(ErrorCode::Io, fmt::format("there is no directory {}", parent().string()));
    throw_errno(errno, "creating a file beside " + path_.string());
  }
  ~ReplacedFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;

  int fd() const { return fd_; }

  void put_in_place() {
    if (::fsync(fd_) != 0) throw_errno(errno, "syncing " + temporary_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(errno, "renaming to " + path_.string());
    temporary_.clear();
    sync_directory();
  }

 private:
  fs::path parent() const { return path_.has_parent_path() ? path_.parent_path() : fs::path("."); }

  // Some file systems cannot, and then there is nothing to do.
  void sync_directory() {
    int directory = ::open(parent().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    int failed = ::fsync(directory) == 0 ? 0 : errno;
    ::close(directory);
    if (failed == EIO) throw_errno(failed, "syncing " + parent().string());
  }

  fs::path path_;
  std::string temporary_;
  int fd_ = -1;
};

void write_lines(const ReadTxn& snapshot, std::uint64_t keys, const std::function<void(std::string_view)>& sink) {
  Progress progress("entries");
  Progress::Measure measure{.total = snapshot.last_event() + keys};
  auto count = [&] {
    measure.done = ++measure.items;
    progress.update(measure);
  };
  ExportLines lines([&](std::string_view line) {
    measure.bytes += line.size() + 1;
    sink(line);
  });
  for (const EventView& event : snapshot.events()) {
    lines.add_event(event);
    count();
  }
  for (auto [key, value] : snapshot.scan()) {
    lines.add_key(key, value);
    count();
  }
  lines.finish();
}

// Not a regular file, such as a pipe or /dev/null: written to, not replaced.
bool is_special(const fs::path& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode);
}

void write_to(int fd, const std::string& name, const ReadTxn& snapshot, std::uint64_t keys,
              const Interruption* interruption) {
  std::string buffer;
  write_lines(snapshot, keys, [&](std::string_view line) {
    if (interruption != nullptr && interruption->happened()) {
      throw Error(ErrorCode::Cancelled, fmt::format("interrupted; {} is as it was", name));
    }
    buffer.append(line).push_back('\n');
    if (buffer.size() < kExportLineBytes) return;
    write_all(fd, buffer, "writing " + name);
    buffer.clear();
  });
  write_all(fd, buffer, "writing " + name);
}

}  // namespace

Exit run_export(Context& context, const ExportArgs& args) {
  const bool to_output = args.file == "-";
  const bool special = !to_output && is_special(args.file);
  if (!to_output && !special) block_signals();  // the store has threads
  Db db = open_store_for_reading(context);
  std::uint64_t keys = db.status().state_keys;
  ReadTxn snapshot = db.read();
  if (to_output) {
    // On a terminal, what could be a control character inside a line is written as \uNNNN.
    write_lines(snapshot, keys, [&](std::string_view line) { context.out.json(line); });
    return Exit::Ok;
  }
  if (special) {
    int fd = ::open(args.file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) throw_errno(errno, "opening " + args.file);
    write_to(fd, args.file, snapshot, keys, nullptr);
    ::close(fd);
    return Exit::Ok;
  }
  const fs::path place = followed(args.file);
  require_outside_of_store(context, place, "the export");
  Interruption interruption(-1, [] {});
  ReplacedFile file(place);
  write_to(file.fd(), args.file, snapshot, keys, &interruption);
  file.put_in_place();
  return Exit::Ok;
}

}  // namespace azoth::cli
