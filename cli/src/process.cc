#include "process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace azoth::cli {

namespace {

void end_without_a_page(int) {
  constexpr std::string_view kMessage =
      "azoth: a page of an open file cannot be read: its device fails, or the file was cut; check both, and then the "
      "store with verify\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(1);
}

}  // namespace

void prepare_process() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() answers the lowest free descriptor, which is this one.
    if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) std::_Exit(1);
  }
  umask(077);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGBUS, end_without_a_page);
}

}  // namespace azoth::cli
