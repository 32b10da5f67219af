#include "scratch.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>

#include "azoth/core/error.h"

namespace azoth::bench {

namespace {

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// Others may still make files in it.
void remove_and_end(const std::filesystem::path& path) {
  const sigset_t signals = ending_signals();
  int signal = 0;
  if (sigwait(&signals, &signal) != 0) return;
  std::error_code error;
  for (int i = 0; i < 100 && std::filesystem::exists(path, error); ++i) std::filesystem::remove_all(path, error);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  std::raise(signal);
}

}  // namespace

Scratch::Scratch(const std::filesystem::path& parent) {
  std::filesystem::create_directories(parent);
  std::string name = (parent / "azoth-bench-XXXXXX").native();
  if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "cannot make a directory in " + parent.native());
  path_ = name;
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([path = path_] { remove_and_end(path); }).detach();
}

Scratch::~Scratch() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error) std::fprintf(stderr, "cannot remove %s: %s\n", path_.c_str(), error.message().c_str());
}

std::filesystem::path Scratch::make(std::string_view name) {
  std::filesystem::path directory = path_ / (std::to_string(++made_) + "-" + std::string(name));
  std::filesystem::create_directory(directory);
  return directory;
}

}  // namespace azoth::bench
