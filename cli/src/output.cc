#include "output.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "azoth/core/error.h"
#include "text.h"

namespace azoth::cli {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

// Returns when the descriptor takes something: of a pipe, at least PIPE_BUF bytes.
void wait_for_room(int fd, int stop_fd) {
  pollfd ready[2] = {{fd, POLLOUT, 0}, {stop_fd, POLLIN, 0}};
  while (::poll(ready, 2, -1) < 0 && errno == EINTR) {
  }
  if (ready[0].revents == 0 && ready[1].revents != 0) throw Interrupted{};
}

}  // namespace

void write_all(int fd, std::string_view bytes, std::string_view what, int stop_fd) {
  while (!bytes.empty()) {
    if (stop_fd >= 0) wait_for_room(fd, stop_fd);
    ssize_t written =
        ::write(fd, bytes.data(), stop_fd >= 0 ? std::min<std::size_t>(bytes.size(), PIPE_BUF) : bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      throw OutputClosed{};
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      throw_errno(errno, what);
    }
  }
}

Output::Output(int fd) : fd_(fd), terminal_(isatty(fd) == 1) {}

void Output::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::line(std::string_view text) {
  buffer_ += text;
  write("\n");
}

void Output::json(std::string_view object) { line(terminal_ ? terminal_safe_json(object) : std::string(object)); }

void Output::flush() {
  std::string pending;
  pending.swap(buffer_);  // what fails is not tried again
  write_all(fd_, pending, "writing to standard output", stop_fd_);
  pending.clear();
  buffer_.swap(pending);  // keeps the memory
}

}  // namespace azoth::cli
