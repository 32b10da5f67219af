#include "directory_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "azoth/core/error.h"

namespace azoth {

namespace {

constexpr std::uint32_t kPlace = IN_MOVE_SELF | IN_DELETE_SELF;

}  // namespace

DirectoryWatch::DirectoryWatch(const std::filesystem::path& directory)
    : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)), interrupt_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  bool watching = inotify_ >= 0 && interrupt_ >= 0 &&
                  inotify_add_watch(inotify_, directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | kPlace) >= 0;
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
  take_events();
}

bool DirectoryWatch::gone() {
  take_events();
  return gone_;
}

void DirectoryWatch::take_events() {
  // What happened in the directory does not matter, only that it is over with.
  alignas(inotify_event) std::array<char, 4096> events;
  for (ssize_t size = 0; (size = read(inotify_, events.data(), events.size())) > 0;) {
    const char* end = events.data() + size;
    for (const char* at = events.data(); at < end;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      if ((event->mask & (kPlace | IN_IGNORED | IN_UNMOUNT)) != 0) gone_ = true;
      if (event->wd == place_ && event->len != 0 && name_ == event->name) gone_ = true;
      at += sizeof(inotify_event) + event->len;
    }
  }
}

void DirectoryWatch::watch_place(const std::filesystem::path& directory, std::string name) {
  name_ = std::move(name);
  place_ = inotify_add_watch(inotify_, directory.c_str(), kPlace | IN_DELETE | IN_MOVED_FROM);
  if (place_ < 0) throw_errno(errno, "watching " + directory.string());
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
