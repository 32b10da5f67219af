#include "line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"

namespace azoth::cli {
namespace {

constexpr std::size_t kFirstBuffer = std::size_t{256} << 10;

}  // namespace

InputFile::InputFile(const std::string& name) : name_(name == "-" ? "standard input" : printable(name)) {
  owned_ = name != "-";
  fd_ = owned_ ? ::open(name.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
  if (fd_ < 0) throw_errno(errno, "opening " + name_);
  struct stat about {};
  if (::fstat(fd_, &about) == 0 && S_ISREG(about.st_mode)) size_ = static_cast<std::uint64_t>(about.st_size);
}

InputFile::~InputFile() {
  if (owned_) ::close(fd_);
}

std::optional<std::size_t> InputFile::read(char* to, std::size_t most, int stop_fd) const {
  for (;;) {
    pollfd ready[2] = {{fd_, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) throw_errno(errno, "reading " + name_);
    if (ready[1].revents != 0) return std::nullopt;
    ssize_t size = ::read(fd_, to, most);
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) throw_errno(errno, "reading " + name_);
  }
}

std::string read_all(const InputFile& input, std::size_t most) {
  std::string bytes;
  std::vector<char> chunk(kFirstBuffer);
  while (bytes.size() < most) {
    const std::size_t size = *input.read(chunk.data(), std::min(chunk.size(), most - bytes.size()));
    if (size == 0) break;
    bytes.append(chunk.data(), size);
  }
  return bytes;
}

LineReader::LineReader(const InputFile& input, std::size_t longest, int stop_fd)
    : input_(input), longest_(longest), stop_fd_(stop_fd), buffer_(kFirstBuffer) {}

std::optional<LineReader::Line> LineReader::next() {
  std::size_t searched = 0;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    std::size_t have = end_ - begin_;
    if (const void* found = std::memchr(from + searched, '\n', have - searched)) {
      std::size_t size = static_cast<std::size_t>(static_cast<const char*>(found) - from);
      return take(size, true);
    }
    searched = have;
    if (have > longest_) {
      skip_line();
      return Line{.number = ++number_, .too_long = true};
    }
    if (at_end_ || !fill()) {
      if (begin_ == end_) return std::nullopt;
      return take(end_ - begin_, false);
    }
  }
}

LineReader::Line LineReader::take(std::size_t size, bool newline) {
  std::string_view text(buffer_.data() + begin_, size);
  begin_ += size + (newline ? 1 : 0);
  consumed_ += size + (newline ? 1 : 0);
  if (size > longest_) return {.number = ++number_, .too_long = true};
  return {.number = ++number_, .text = text};
}

void LineReader::skip_line() {
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const void* found = std::memchr(from, '\n', end_ - begin_);
    std::size_t size = found ? static_cast<std::size_t>(static_cast<const char*>(found) - from) + 1 : end_ - begin_;
    begin_ += size;
    consumed_ += size;
    if (found || at_end_ || !fill()) return;
  }
}

// Reads more behind what is there; false at the end.
bool LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  const auto size = input_.read(buffer_.data() + end_, buffer_.size() - end_, stop_fd_);
  if (!size) end_ = begin_;  // the start of a line is not a line
  end_ += size.value_or(0);
  at_end_ = size.value_or(0) == 0;
  return !at_end_;
}

}  // namespace azoth::cli
