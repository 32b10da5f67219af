// What the parts of the injector share. Nothing in here may allocate: malloc is one of the calls.
#pragma once

#include <sys/types.h>

#include "injector.h"

namespace azoth::inject {

// What is to happen to a call.
struct Verdict {
  bool hit = false;
  int error = 0;
  Plant plant = Plant::None;
};

// Counts it. Does not return where the plan is to die.
Verdict on_file_call(Kind kind, const char* call, const char* place);
bool allocation_fails();
bool armed_for_files();
bool losing();
bool below_directory(const char* path);

// Of this thread; 0 where lack of memory is known to be fatal.
std::uint64_t hash_of_stack();

// What writes have replaced since the last sync of their file; writes through `fd`, at `offset`, before they are done.
void keep_for_undo(int fd, off_t offset, std::size_t size);
void forget_undo(int fd);  // synced
void undo(int fd);         // lost

}  // namespace azoth::inject
