// What the numbers were measured on.
#pragma once

#include <filesystem>
#include <string>

namespace azoth::bench {

// One line: cores, load, kernel, file system of the directory.
std::string describe_machine(const std::filesystem::path& directory);
// Whether files there live in memory, where syncing costs nothing.
bool in_memory(const std::filesystem::path& directory);

}  // namespace azoth::bench
