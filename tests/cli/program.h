// Running the built `azoth` program as a child process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_dir.h"

namespace azoth::test {

using Json = nlohmann::ordered_json;
using Arguments = std::vector<std::string>;

std::vector<std::string> split_lines(std::string_view text);

struct Result {
  int exit = -1;   // -1 if it was killed
  int signal = 0;  // by this signal
  std::string out;
  std::string err;

  std::vector<std::string> lines() const { return split_lines(out); }
  Json json() const { return Json::parse(out); }  // the one object on standard output
  std::vector<Json> json_lines() const;
};

struct ChildOptions {
  bool terminal = false;            // standard output and standard error are a terminal
  bool hasty_input = false;         // standard input does not wait (O_NONBLOCK)
  std::vector<int> closed = {};     // standard descriptors it starts without
  unsigned long largest_file = 0;   // bytes, if not 0
  int pending_signal = 0;           // has been sent, and is held back, before the program begins
  std::string environment_db = {};  // $AZOTH_DB, if not empty
  std::filesystem::path work_directory = {};
};

// A running child. Its standard input, output and error are pipes held here.
class Child {
 public:
  explicit Child(const Arguments& arguments, const ChildOptions& options = {});
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void send(std::string_view text);
  void close_input();
  void close_output();
  // Waits for a whole line of its output; nothing at the end.
  std::optional<std::string> read_line();
  std::optional<std::string> read_error_line();  // the same of standard error
  void kill();                                   // kill -9
  // Waits for its end while the input stays open; its exit code, or -1 if it was killed, in `exit`.
  pid_t wait_with_input_open(int& exit);
  // Sends `input`, closes the input and waits for the end.
  Result finish(std::string_view input = {});

 private:
  bool read_some();
  std::optional<std::string> next_line(const int& fd, std::string& text);
  bool read_ready(int& fd, std::string& to);

  pid_t pid_ = -1;
  bool ended_ = false;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string out_text_;  // not handed out yet
  std::string err_text_;
};

// A store of the test's own, with small sizes, and the program run on it.
class StoreDir {
 public:
  StoreDir() : StoreDir("store") {}
  explicit StoreDir(const std::string& name) : path_(directory_.path() / name) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name) const { return directory_.path() / name; }

  Arguments arguments(const Arguments& command) const;  // with --db and the sizes in front
  Result run(const Arguments& command, std::string_view input = {}) const;
  // The same, expecting exit code 0.
  Result ok(const Arguments& command, std::string_view input = {}) const;
  void init() const { (void)ok({"init"}); }

  Arguments sizes = {"--segment-size", "256K", "--delta-size", "1M", "--map-size", "64M"};

 private:
  TempDir directory_;
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, std::string_view content);
std::string read_file(const std::filesystem::path& path);

}  // namespace azoth::test
