#include "interruption.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::cli {
namespace {

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

void raise_fd(int fd) {
  std::uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

int new_event_fd() { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

}  // namespace

void block_signals() {
  sigset_t signals = ending_signals();
  if (int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr)) throw_errno(error, "blocking signals");
}

Interruption::Interruption(int out_fd, std::function<void()> action) : out_fd_(out_fd), action_(std::move(action)) {
  sigset_t signals = ending_signals();
  signal_fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  happened_fd_ = new_event_fd();
  end_fd_ = new_event_fd();
  if (signal_fd_ < 0 || happened_fd_ < 0 || end_fd_ < 0) {
    int error = errno;
    for (int fd : {signal_fd_, happened_fd_, end_fd_}) {
      if (fd >= 0) ::close(fd);
    }
    throw_errno(error, "creating a descriptor to wait for signals");
  }
  thread_ = std::thread([this] { watch(); });
}

Interruption::~Interruption() {
  raise_fd(end_fd_);
  thread_.join();
  for (int fd : {signal_fd_, happened_fd_, end_fd_}) ::close(fd);
}

void Interruption::watch() {
  pollfd sources[3] = {{signal_fd_, POLLIN, 0}, {out_fd_, 0, 0}, {end_fd_, POLLIN, 0}};
  while (::poll(sources, 3, -1) < 0 && errno == EINTR) {
  }
  bool signalled = sources[0].revents != 0;
  bool closed = (sources[1].revents & (POLLERR | POLLHUP)) != 0;
  if (!signalled && !closed) return;
  output_closed_.store(!signalled);
  happened_.store(true);
  raise_fd(happened_fd_);
  action_();
}

}  // namespace azoth::cli
