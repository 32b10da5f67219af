#include "program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace azoth::test {
namespace {

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    read = ends[0];
    write = ends[1];
  }
};

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

// In the child: only async-signal-safe calls until exec.
[[noreturn]] void become(char* const* argv, char* const* environment, int in, int out, int err,
                         const ChildOptions& options) {
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  for (int fd : options.closed) ::close(fd);
  if (options.largest_file != 0) {
    const rlimit limit{options.largest_file, options.largest_file};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  std::signal(SIGPIPE, SIG_DFL);
  if (options.pending_signal != 0) {
    sigset_t pending;
    ::sigemptyset(&pending);
    ::sigaddset(&pending, options.pending_signal);
    ::sigprocmask(SIG_BLOCK, &pending, nullptr);
    ::kill(::getpid(), options.pending_signal);  // of the process, not of this thread
  }
  if (!options.work_directory.empty() && ::chdir(options.work_directory.c_str()) != 0) ::_exit(126);
  ::execve(argv[0], argv, environment);
  ::_exit(127);
}

std::vector<std::string> environment_for(const ChildOptions& options) {
  std::vector<std::string> result;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("AZOTH_DB=")) result.emplace_back(*variable);
  }
  if (!options.environment_db.empty()) result.push_back("AZOTH_DB=" + options.environment_db);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<Json> Result::json_lines() const {
  std::vector<Json> result;
  for (const std::string& line : lines()) result.push_back(Json::parse(line));
  return result;
}

Child::Child(const Arguments& arguments, const ChildOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words = {AZOTH_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_for(options);
  std::vector<char*> argv = pointers(words);
  std::vector<char*> environment = pointers(variables);
  Pipe in;
  Pipe out;
  Pipe err;
  if (options.hasty_input) ::fcntl(in.read, F_SETFL, O_NONBLOCK);
  if (options.terminal) {
    int terminal = -1;
    ::close(out.read);
    ::close(out.write);
    termios raw{};
    ::cfmakeraw(&raw);
    if (::openpty(&out.read, &terminal, nullptr, &raw, nullptr) != 0) throw std::runtime_error("openpty failed");
    out.write = terminal;
    ::fcntl(out.read, F_SETFD, FD_CLOEXEC);
    ::fcntl(out.write, F_SETFD, FD_CLOEXEC);
  }
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    become(argv.data(), environment.data(), in.read, out.write, options.terminal ? out.write : err.write, options);
  }
  ::close(in.read);
  ::close(out.write);
  ::close(err.write);
  in_ = in.write;
  out_ = out.read;
  err_ = err.read;
}

Child::~Child() {
  close_input();
  if (!ended_) {
    kill();
    (void)finish();
  }
}

void Child::send(std::string_view text) {
  while (!text.empty()) {
    ssize_t sent = ::write(in_, text.data(), text.size());
    if (sent < 0) return;  // it has ended; its exit code tells
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Child::close_input() { close_fd(in_); }

void Child::close_output() { close_fd(out_); }

bool Child::read_ready(int& fd, std::string& to) {
  char chunk[1 << 16];
  ssize_t size = ::read(fd, chunk, sizeof chunk);
  if (size <= 0) {  // the end; a terminal answers EIO
    close_fd(fd);
    return false;
  }
  to.append(chunk, static_cast<std::size_t>(size));
  return true;
}

// Waits for anything to read; false when both streams have ended.
bool Child::read_some() {
  pollfd ready[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (out_ < 0 && err_ < 0) return false;
  ::poll(ready, 2, -1);
  if (ready[0].revents != 0) read_ready(out_, out_text_);
  if (ready[1].revents != 0) read_ready(err_, err_text_);
  return true;
}

std::optional<std::string> Child::read_line() { return next_line(out_, out_text_); }

std::optional<std::string> Child::read_error_line() { return next_line(err_, err_text_); }

std::optional<std::string> Child::next_line(const int& fd, std::string& text) {
  for (;;) {
    if (std::size_t end = text.find('\n'); end != std::string::npos) {
      std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      return line;
    }
    if (fd < 0 || !read_some()) return std::nullopt;
  }
}

void Child::kill() { ::kill(pid_, SIGKILL); }

pid_t Child::wait_with_input_open(int& exit) {
  int status = 0;
  pid_t pid = ::waitpid(pid_, &status, 0);
  ended_ = true;
  exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return pid;
}

Result Child::finish(std::string_view input) {
  // What does not fit a pipe is sent while the output is read, so that neither side waits for the other.
  if (in_ >= 0) ::fcntl(in_, F_SETFL, O_NONBLOCK);
  while (in_ >= 0 && !input.empty()) {
    pollfd ready[3] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {in_, POLLOUT, 0}};
    ::poll(ready, 3, -1);
    if (ready[0].revents != 0) read_ready(out_, out_text_);
    if (ready[1].revents != 0) read_ready(err_, err_text_);
    if (ready[2].revents == 0) continue;
    ssize_t sent = ::write(in_, input.data(), input.size());
    if (sent < 0 && errno != EAGAIN) break;
    if (sent > 0) input.remove_prefix(static_cast<std::size_t>(sent));
  }
  close_input();
  while (read_some()) {
  }
  Result result;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ended_ = true;
  if (WIFEXITED(status)) result.exit = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = std::move(out_text_);
  result.err = std::move(err_text_);
  return result;
}

Arguments StoreDir::arguments(const Arguments& command) const {
  Arguments all = {"--db", path_.string()};
  all.insert(all.end(), sizes.begin(), sizes.end());
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

Result StoreDir::run(const Arguments& command, std::string_view input) const {
  return Child(arguments(command)).finish(input);
}

Result StoreDir::ok(const Arguments& command, std::string_view input) const {
  Result result = run(command, input);
  EXPECT_EQ(result.exit, 0) << command.front() << ": " << result.err;
  return result;
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

}  // namespace azoth::test
