#include "azoth/backup/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/file.h"
#include "crypto.h"

namespace azoth::backup {
namespace {

using Path = std::filesystem::path;

constexpr std::string_view kMagic = "azoth backup key 1\n";
constexpr std::size_t kHexBytes = 2 * kKeyBytes;
constexpr std::size_t kFileBytes = kMagic.size() + kHexBytes + 1;

// The text of a key file, wiped at the end. One byte more than a key file has: a longer file shows, and sodium_bin2hex
// has room for its terminator.
struct Text {
  ~Text() { wipe(bytes.data(), bytes.size()); }
  std::array<char, kFileBytes + 1> bytes{};
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void refuse(const Path& path, const std::string& why) {
  throw Error(ErrorCode::InvalidArgument, "cannot use the key file " + path.native() + ": " + why);
}

void write_text(int fd, const Path& path, const Text& text) {
  const std::string what = "cannot write the key file " + path.native();
  if (int error = AZOTH_FAULT("key_file.write")) throw_errno(error, what);
  const ssize_t written = ::write(fd, text.bytes.data(), kFileBytes);
  if (written != static_cast<ssize_t>(kFileBytes)) throw_errno(written < 0 ? errno : ENOSPC, what);
  if (int error = AZOTH_FAULT("key_file.sync")) throw_errno(error, what);
  if (::fsync(fd) != 0) throw_errno(errno, what);
}

void check_access(int fd, const Path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno(errno, "cannot look up the key file " + path.native());
  if (!S_ISREG(status.st_mode)) refuse(path, "it is not a regular file; name the file that was made for this set");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    refuse(path, "it belongs to another user; use a copy of your own with mode 0600");
  }
  if ((status.st_mode & 077) != 0) {
    refuse(path, "others than its owner may read or write it; run: chmod 600 " + path.native() +
                     ", and make a new key if somebody may have read it");
  }
}

}  // namespace

Key::Key() : impl_(std::make_unique<Impl>()) {}
Key::Key(Key&&) noexcept = default;
Key& Key::operator=(Key&&) noexcept = default;
Key::~Key() = default;

const std::string& Key::id() const { return impl_->id; }

Key Key::random() {
  Key key;
  randombytes_buf(key.impl_->bytes, kKeyBytes);
  key.impl_->name();
  return key;
}

Key make_key_file(const Path& path) {
  Key key = Key::random();
  Text text;
  kMagic.copy(text.bytes.data(), kMagic.size());
  sodium_bin2hex(text.bytes.data() + kMagic.size(), kHexBytes + 1, key.impl_->bytes, kKeyBytes);
  text.bytes[kFileBytes - 1] = '\n';

  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0 && errno == EEXIST) {
    throw Error(ErrorCode::AlreadyExists, "cannot make the key file " + path.native() +
                                              ": there is such a file already, and a key is never overwritten; choose "
                                              "another name");
  }
  if (file.get() < 0) throw_errno(errno, "cannot make the key file " + path.native());
  try {
    write_text(file.get(), path, text);
    FileSystem::posix().sync_directory(path.has_parent_path() ? path.parent_path() : Path("."));
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
  return key;
}

Key load_key_file(const Path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) throw_errno(errno, "cannot open the key file " + path.native());
  check_access(file.get(), path);
  Text text;
  const ssize_t size = ::read(file.get(), text.bytes.data(), text.bytes.size());
  if (size < 0) throw_errno(errno, "cannot read the key file " + path.native());
  const std::string_view content(text.bytes.data(), static_cast<std::size_t>(size));
  Key key;
  std::size_t decoded = 0;
  if (content.size() != kFileBytes || !content.starts_with(kMagic) || content.back() != '\n' ||
      sodium_hex2bin(key.impl_->bytes, kKeyBytes, content.data() + kMagic.size(), kHexBytes, nullptr, &decoded,
                     nullptr) != 0 ||
      decoded != kKeyBytes) {
    refuse(path, "it is no backup key, or damaged; name the file that was made for this set, or a copy of it");
  }
  key.impl_->name();
  return key;
}

}  // namespace azoth::backup
