#include "directory_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "azoth/core/error.h"

namespace azoth {

DirectoryWatch::DirectoryWatch(const std::filesystem::path& directory)
    : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)), interrupt_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  bool watching = inotify_ >= 0 && interrupt_ >= 0 &&
                  inotify_add_watch(inotify_, directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0;
  if (watching) return;
  int error = errno;
  if (inotify_ >= 0) close(inotify_);
  if (interrupt_ >= 0) close(interrupt_);
  throw_errno(error, "watching " + directory.string());
}

DirectoryWatch::~DirectoryWatch() {
  close(inotify_);
  close(interrupt_);
}

void DirectoryWatch::wait() {
  std::array<pollfd, 2> sources{{{inotify_, POLLIN, 0}, {interrupt_, POLLIN, 0}}};
  while (poll(sources.data(), sources.size(), -1) < 0 && errno == EINTR) {
  }
  // What happened does not matter, only that it is over with.
  std::array<char, 4096> events;
  while (read(inotify_, events.data(), events.size()) > 0) {
  }
}

void DirectoryWatch::interrupt() {
  std::uint64_t one = 1;
  while (write(interrupt_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

bool DirectoryWatch::interrupted_within(std::chrono::milliseconds time) {
  pollfd source{interrupt_, POLLIN, 0};
  return poll(&source, 1, static_cast<int>(time.count())) > 0;
}

}  // namespace azoth
