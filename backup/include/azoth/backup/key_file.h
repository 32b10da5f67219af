// Key files: the secret with which the snapshots of a set are encrypted and authenticated.
//
// A key file is text: the line "azoth backup key 1" and a line of 64 hexadecimal digits. It is made 0600 and never
// overwritten. Whoever loses it loses the backups; whoever reads it reads them, so it belongs elsewhere than the set.
// Nothing derived from it is ever part of a message but the id, which tells keys apart and reveals nothing of them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace azoth::backup {

// 256 secret bits, in memory that is locked if the system permits, guarded, and wiped at the end.
class Key {
 public:
  Key(Key&&) noexcept;
  Key& operator=(Key&&) noexcept;
  ~Key();

  static Key random();
  const std::string& id() const;  // 16 hexadecimal digits

  struct Impl;
  const Impl& impl() const { return *impl_; }  // for this layer

 private:
  friend Key load_key_file(const std::filesystem::path& path);
  friend Key make_key_file(const std::filesystem::path& path);
  Key();
  std::unique_ptr<Impl> impl_;
};

// Makes a key and its file, durably. AlreadyExists if there is anything of that name; on any other error there is no
// file.
Key make_key_file(const std::filesystem::path& path);

// InvalidArgument, with what to do, if the file is no key file, belongs to another user, or others may read or write
// it. Symbolic links are not followed.
Key load_key_file(const std::filesystem::path& path);

}  // namespace azoth::backup
