// Reading a file or pipe: whole, or line by line in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::cli {

// An open input: a file by name, or standard input for "-".
class InputFile {
 public:
  explicit InputFile(const std::string& name);  // throws Error naming the file
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Waits for bytes, also where the descriptor would not: how many came, 0 at the end; nothing if `stop_fd` became
  // readable (-1: never). Throws Error.
  std::optional<std::size_t> read(char* to, std::size_t most, int stop_fd = -1) const;
  const std::string& name() const { return name_; }  // for messages
  std::uint64_t size() const { return size_; }       // of a regular file; 0 when it is not known

 private:
  std::string name_;
  int fd_ = -1;
  bool owned_ = false;
  std::uint64_t size_ = 0;
};

// All of it, or its first `most` bytes.
std::string read_all(const InputFile& input, std::size_t most);

class LineReader {
 public:
  struct Line {
    std::uint64_t number = 0;    // from 1
    std::string_view text = {};  // without the newline; valid until the next call
    bool too_long = false;       // longer than the limit: no text
  };

  // Reading ends as if at the end of the input when `stop_fd` becomes readable (-1: never).
  LineReader(const InputFile& input, std::size_t longest, int stop_fd = -1);

  // The next line, the last one also without a newline; nothing at the end. Throws Error when reading fails.
  std::optional<Line> next();

  std::uint64_t bytes() const { return consumed_; }  // of the lines handed out

 private:
  bool fill();
  void skip_line();
  Line take(std::size_t size, bool newline);

  const InputFile& input_;
  std::size_t longest_;
  int stop_fd_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // what is not handed out yet: buffer_[begin_, end_)
  std::size_t end_ = 0;
  bool at_end_ = false;
  std::uint64_t number_ = 0;
  std::uint64_t consumed_ = 0;
};

}  // namespace azoth::cli
