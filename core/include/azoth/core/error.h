// The one exception type of Azoth.
//
// Something that should not happen, or that the caller must deal with before going on, is thrown as azoth::Error.
// Expected outcomes are values: an absent key is a std::nullopt, a transaction whose condition does not hold is an
// Outcome without a value. Messages say what is wrong and what to do; codes are stable and never reused.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace azoth {

enum class ErrorCode : std::uint16_t {
  // The caller's arguments. Nothing was changed.
  InvalidArgument = 1,
  KeyEmpty = 2,
  KeyTooLarge = 3,
  ValueTooLarge = 4,
  EventTooLarge = 5,
  EventTypeInvalid = 6,
  TagInvalid = 7,
  TooManyTags = 8,
  TransactionTooLarge = 9,
  TooManyOperations = 10,
  NestedUse = 11,          // a call from inside a transaction of the same thread that would wait for itself
  Rejected = 12,           // the value of an Outcome that has none was asked for
  SequenceExhausted = 13,  // a sequence has not so many numbers left

  UndeclaredKey = 14,    // a transaction used a key that it has not declared, or wrote one that it shares
  TooManyKeys = 15,      // were declared
  CommandMismatch = 16,  // a command id came again with another fingerprint

  // The store's state. Nothing was changed.
  NotFound = 20,
  AlreadyExists = 21,
  Locked = 22,       // another process has the store open for writing
  AlreadyOpen = 23,  // this process has
  StillRead = 24,    // closed here, but a snapshot of it still lives
  Closed = 25,
  ReadersFull = 26,
  Sealed = 27,    // the history is closed; unseal it to write
  Paused = 28,    // writing is paused; it goes on when those who paused it resume
  ReadOnly = 29,   // the store was opened for reading only
  Cancelled = 30,  // by whoever had asked for it, before it was done

  // Pressure. Nothing was changed; trying again later may succeed.
  LockTimeout = 40,
  Backpressure = 41,
  NoSpace = 42,

  // Trouble.
  Io = 60,
  StoreFailed = 61,  // writing failed; the store refuses writes until it is reopened
  Corruption = 62,
  UnsupportedFormat = 63,
  OutOfMemory = 64,

  // Projections.
  SqlFailed = 80,         // an SQL statement: what it says, or a constraint that it breaks
  ProjectionFailed = 81,  // it stopped at an event that it cannot apply, and says why
  QueryTimeout = 82,      // a query took longer than it may
  QueryTooLarge = 83,     // a query, or what it makes, is larger than it may be
  QueryCancelled = 84,    // by its stop token
};

// The stable name of a code, e.g. "key_too_large": what `--json` and logs print.
std::string_view error_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ErrorCode code() const { return code_; }

  // Trying the same call again later may succeed.
  bool retryable() const;
  // Stored bytes are not what was written.
  bool corruption() const { return code_ == ErrorCode::Corruption; }
  // This store object can take no more writes; reopening may help.
  bool fatal() const { return code_ == ErrorCode::StoreFailed || code_ == ErrorCode::Corruption; }
  // The commit this is about may or may not have happened; after reopening, its effects tell.
  bool outcome_unknown() const { return outcome_unknown_; }

  Error with_unknown_outcome() const {
    Error copy = *this;
    copy.outcome_unknown_ = true;
    return copy;
  }

 private:
  ErrorCode code_;
  bool outcome_unknown_ = false;
};

// OutOfMemory, made beforehand: where there is no memory there is none for a message either. Copying it takes none.
const Error& no_memory() noexcept;

// Throws Error for a failed system call: NoSpace for a full disk, quota or file size limit, NotFound for a file that is
// not there, Io otherwise. `what` names the operation and the file, e.g. "cannot write /srv/ledger/journal/000001".
[[noreturn]] void throw_errno(int errno_value, std::string_view what);

}  // namespace azoth
