// The files of a directory, as bytes in memory: to damage them, to put them back, to compare them.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace azoth::proof {

using Files = std::map<std::string, std::string>;  // by their names from the directory on

Files read_files(const std::filesystem::path& directory);
// Makes the directory these files and nothing else; of those that are as `now` says already nothing is written.
void make_files(const std::filesystem::path& directory, const Files& files, const Files& now = {});

// Files that say who was there, and nothing of what is stored: a reader may write to them.
bool is_of_readers(const std::string& name);

}  // namespace azoth::proof
