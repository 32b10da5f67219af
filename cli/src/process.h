// What the process needs before it does anything.
#pragma once

namespace azoth::cli {

// - Standard descriptors that are closed are opened on /dev/null, in the direction that fails: else the store's files
//   could become descriptor 0, 1 or 2, and messages would be written into them.
// - What is created is for its owner only (umask 077).
// - SIGBUS ends the process with a message and exit code 1: that is how the kernel says that a page of a mapped file
//   cannot be read (the device fails), or is not there any more (the file was cut).
// - SIGPIPE and SIGXFSZ are ignored: writing to a closed pipe or beyond a file size limit is an error of that call.
void prepare_process();

}  // namespace azoth::cli
