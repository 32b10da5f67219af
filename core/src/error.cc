#include "azoth/core/error.h"

#include <cerrno>
#include <system_error>

namespace azoth {

namespace {
const Error kNoMemory(ErrorCode::OutOfMemory, "there is no memory");  // made when the program is loaded
}  // namespace
namespace {

ErrorCode code_of(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::NoSpace;
    case ENOENT:
      return ErrorCode::NotFound;
    default:
      return ErrorCode::Io;
  }
}

// What the user can do about it; nothing where the text of the errno already says it.
std::string_view advice(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
      return "; free space on this file system and try again";
    case EDQUOT:
      return "; free space or raise the quota and try again";
    case EFBIG:
      return "; raise the file size limit (ulimit -f) and try again";
    case EACCES:
    case EPERM:
      return "; check the owner and the permissions of the file and its directory";
    case EMFILE:
    case ENFILE:
      return "; raise the limit of open files (ulimit -n)";
    case ELOOP:
      return "; symbolic links are not followed, name the file itself";
    case EIO:
      return "; check the device and the kernel log";
    default:
      return "";
  }
}

}  // namespace

std::string_view error_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "invalid_argument";
    case ErrorCode::KeyEmpty:
      return "key_empty";
    case ErrorCode::KeyTooLarge:
      return "key_too_large";
    case ErrorCode::ValueTooLarge:
      return "value_too_large";
    case ErrorCode::EventTooLarge:
      return "event_too_large";
    case ErrorCode::EventTypeInvalid:
      return "event_type_invalid";
    case ErrorCode::TagInvalid:
      return "tag_invalid";
    case ErrorCode::TooManyTags:
      return "too_many_tags";
    case ErrorCode::TransactionTooLarge:
      return "transaction_too_large";
    case ErrorCode::TooManyOperations:
      return "too_many_operations";
    case ErrorCode::NestedUse:
      return "nested_use";
    case ErrorCode::Rejected:
      return "rejected";
    case ErrorCode::SequenceExhausted:
      return "sequence_exhausted";
    case ErrorCode::UndeclaredKey:
      return "undeclared_key";
    case ErrorCode::TooManyKeys:
      return "too_many_keys";
    case ErrorCode::CommandMismatch:
      return "command_mismatch";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::AlreadyExists:
      return "already_exists";
    case ErrorCode::Locked:
      return "locked";
    case ErrorCode::AlreadyOpen:
      return "already_open";
    case ErrorCode::StillRead:
      return "still_read";
    case ErrorCode::Closed:
      return "closed";
    case ErrorCode::ReadersFull:
      return "readers_full";
    case ErrorCode::Sealed:
      return "sealed";
    case ErrorCode::Paused:
      return "paused";
    case ErrorCode::ReadOnly:
      return "read_only";
    case ErrorCode::Cancelled:
      return "cancelled";
    case ErrorCode::LockTimeout:
      return "lock_timeout";
    case ErrorCode::Backpressure:
      return "backpressure";
    case ErrorCode::NoSpace:
      return "no_space";
    case ErrorCode::Io:
      return "io";
    case ErrorCode::StoreFailed:
      return "store_failed";
    case ErrorCode::Corruption:
      return "corruption";
    case ErrorCode::UnsupportedFormat:
      return "unsupported_format";
    case ErrorCode::OutOfMemory:
      return "out_of_memory";
    case ErrorCode::SqlFailed:
      return "sql_failed";
    case ErrorCode::ProjectionFailed:
      return "projection_failed";
    case ErrorCode::QueryTimeout:
      return "query_timeout";
    case ErrorCode::QueryTooLarge:
      return "query_too_large";
    case ErrorCode::QueryCancelled:
      return "query_cancelled";
  }
  return "unknown";
}

const Error& no_memory() noexcept { return kNoMemory; }

bool Error::retryable() const {
  switch (code_) {
    case ErrorCode::LockTimeout:
    case ErrorCode::Backpressure:
    case ErrorCode::NoSpace:
    case ErrorCode::Locked:
    case ErrorCode::ReadersFull:
    case ErrorCode::Paused:
      return true;
    default:
      return false;
  }
}

void throw_errno(int errno_value, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(errno_value);
  message += advice(errno_value);
  throw Error(code_of(errno_value), message);
}

}  // namespace azoth
