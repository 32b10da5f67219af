// Standard output, buffered, with every error noticed: what could not be written was not printed, and the program says
// so and fails. One thread at a time.
#pragma once

#include <string>
#include <string_view>

namespace azoth::cli {

// The reader of our output has gone (EPIPE): the program ends with exit code 1 and without a word.
struct OutputClosed {};

// What was to be written has not been, because it would have had to wait and somebody wanted the program to end.
struct Interrupted {};

// Writes all of `bytes` to a descriptor, waiting if it is non-blocking. Throws OutputClosed, or Error naming `what`.
// With a `stop_fd`, throws Interrupted instead of waiting any longer when that one is readable.
void write_all(int fd, std::string_view bytes, std::string_view what, int stop_fd = -1);

class Output {
 public:
  explicit Output(int fd);

  // Text of the program's own making, or escaped by the caller.
  void write(std::string_view text);
  void line(std::string_view text);
  // One line of JSON; on a terminal, control characters inside it are written as \uNNNN.
  void json(std::string_view object);
  // Bytes as they are.
  void raw(std::string_view bytes) { write(bytes); }
  void flush();
  // Writing does not wait any longer once this descriptor is readable: Interrupted.
  void interrupt_by(int stop_fd) { stop_fd_ = stop_fd; }

  bool terminal() const { return terminal_; }

 private:
  int fd_;
  int stop_fd_ = -1;
  bool terminal_;
  std::string buffer_;
};

}  // namespace azoth::cli
