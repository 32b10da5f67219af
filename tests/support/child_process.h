// Tests that kill: a forked child runs a body, and the parent learns how it ended. The parent must have no other
// threads when it forks, and no store open.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::test {

class ChildProcess {
 public:
  // The child ends with exit code 0, or with 1 if the body throws or an expectation of it fails.
  explicit ChildProcess(const std::function<void()>& body) {
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw_errno(errno, "forking");
    if (pid_ != 0) return;
    try {
      body();
      _exit(testing::Test::HasFailure() ? 1 : 0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
      _exit(1);
    }
  }
  ~ChildProcess() {
    if (!ended_) kill();
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  void kill() {
    ::kill(pid_, SIGKILL);
    wait();
  }

  void wait() {
    while (!ended_ && waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    ended_ = true;
  }
  bool was_killed() const { return ended_ && WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }
  bool succeeded() const { return ended_ && WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

// A pipe whose ends are closed in time: the child writes, the parent reads.
class Pipe {
 public:
  Pipe() {
    if (pipe(ends_) != 0) throw_errno(errno, "making a pipe");
  }
  ~Pipe() {
    close_reading();
    close_writing();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  void close_reading() { close_end(0); }
  void close_writing() { close_end(1); }

  // By the child. Whole, as long as it is small.
  template <class T>
  void send(const T& value) const {
    if (::write(ends_[1], &value, sizeof value) != static_cast<ssize_t>(sizeof value)) _exit(2);
  }
  // By the parent: false when the child is gone and has sent nothing more.
  template <class T>
  bool receive(T& value) const {
    ssize_t got = 0;
    do {
      got = ::read(ends_[0], &value, sizeof value);
    } while (got < 0 && errno == EINTR);
    return got == static_cast<ssize_t>(sizeof value);
  }

 private:
  void close_end(int end) {
    if (ends_[end] >= 0) ::close(std::exchange(ends_[end], -1));
  }
  int ends_[2] = {-1, -1};
};

}  // namespace azoth::test
