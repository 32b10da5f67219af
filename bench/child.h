// A second process of this program, for what a process can only tell of itself or must die of. Parent and child talk in
// lines over the child's standard input and output.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace azoth::bench {

class Child {
 public:
  // Runs workloads' run_child() with these arguments.
  explicit Child(const std::vector<std::string>& arguments);
  ~Child();  // kills it if it is still there
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void say(const std::string& line);
  std::string hear();  // throws Io when the child has ended without saying anything
  void kill();

 private:
  pid_t pid_ = -1;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

// The child's side.
void say_to_parent(const std::string& line);
std::string hear_from_parent();

}  // namespace azoth::bench
