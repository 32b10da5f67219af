#include "azoth/core/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

namespace azoth {
namespace {

using testing::HasSubstr;

const std::map<ErrorCode, std::string> kNames = {
    {ErrorCode::InvalidArgument, "invalid_argument"},
    {ErrorCode::KeyEmpty, "key_empty"},
    {ErrorCode::KeyTooLarge, "key_too_large"},
    {ErrorCode::ValueTooLarge, "value_too_large"},
    {ErrorCode::EventTooLarge, "event_too_large"},
    {ErrorCode::EventTypeInvalid, "event_type_invalid"},
    {ErrorCode::TagInvalid, "tag_invalid"},
    {ErrorCode::TooManyTags, "too_many_tags"},
    {ErrorCode::TransactionTooLarge, "transaction_too_large"},
    {ErrorCode::TooManyOperations, "too_many_operations"},
    {ErrorCode::NestedUse, "nested_use"},
    {ErrorCode::Rejected, "rejected"},
    {ErrorCode::SequenceExhausted, "sequence_exhausted"},
    {ErrorCode::UndeclaredKey, "undeclared_key"},
    {ErrorCode::TooManyKeys, "too_many_keys"},
    {ErrorCode::CommandMismatch, "command_mismatch"},
    {ErrorCode::NotFound, "not_found"},
    {ErrorCode::AlreadyExists, "already_exists"},
    {ErrorCode::Locked, "locked"},
    {ErrorCode::AlreadyOpen, "already_open"},
    {ErrorCode::StillRead, "still_read"},
    {ErrorCode::Closed, "closed"},
    {ErrorCode::ReadersFull, "readers_full"},
    {ErrorCode::Sealed, "sealed"},
    {ErrorCode::Paused, "paused"},
    {ErrorCode::ReadOnly, "read_only"},
    {ErrorCode::Cancelled, "cancelled"},
    {ErrorCode::LockTimeout, "lock_timeout"},
    {ErrorCode::Backpressure, "backpressure"},
    {ErrorCode::NoSpace, "no_space"},
    {ErrorCode::Io, "io"},
    {ErrorCode::StoreFailed, "store_failed"},
    {ErrorCode::Corruption, "corruption"},
    {ErrorCode::UnsupportedFormat, "unsupported_format"},
    {ErrorCode::OutOfMemory, "out_of_memory"},
    {ErrorCode::SqlFailed, "sql_failed"},
    {ErrorCode::ProjectionFailed, "projection_failed"},
    {ErrorCode::QueryTimeout, "query_timeout"},
    {ErrorCode::QueryTooLarge, "query_too_large"},
    {ErrorCode::QueryCancelled, "query_cancelled"},
};

Error thrown_for(int errno_value) {
  try {
    throw_errno(errno_value, "cannot write /srv/x");
  } catch (const Error& error) {
    return error;
  }
}

TEST(Error, NamesAreStable) {
  for (const auto& [code, name] : kNames) EXPECT_EQ(error_name(code), name);
}

TEST(Error, EveryCodeHasANameOfItsOwn) {
  std::map<std::string, int> uses;
  for (int code = 0; code < 1000; ++code) {
    const std::string_view name = error_name(static_cast<ErrorCode>(code));
    EXPECT_EQ(name != "unknown", kNames.contains(static_cast<ErrorCode>(code))) << code;
    if (name != "unknown") ++uses[std::string(name)];
  }
  EXPECT_EQ(uses.size(), kNames.size());
  for (const auto& [name, count] : uses) {
    EXPECT_EQ(count, 1) << name;
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) { return c == '_' || std::islower(c); })) << name;
  }
}

TEST(Error, OnlyPressureIsRetryable) {
  const std::vector<ErrorCode> retryable = {ErrorCode::LockTimeout, ErrorCode::Backpressure, ErrorCode::NoSpace,
                                            ErrorCode::Locked,      ErrorCode::ReadersFull,  ErrorCode::Paused};
  for (const auto& [code, name] : kNames) {
    const bool expected = std::find(retryable.begin(), retryable.end(), code) != retryable.end();
    EXPECT_EQ(Error(code, "x").retryable(), expected) << name;
  }
}

TEST(Error, PredicatesTellCorruptionAndFatal) {
  for (const auto& [code, name] : kNames) {
    EXPECT_EQ(Error(code, "x").corruption(), code == ErrorCode::Corruption) << name;
    EXPECT_EQ(Error(code, "x").fatal(), code == ErrorCode::Corruption || code == ErrorCode::StoreFailed) << name;
  }
}

TEST(Error, AnUnknownOutcomeIsSaidOfACopy) {
  const Error error(ErrorCode::StoreFailed, "sync failed");
  const Error unknown = error.with_unknown_outcome();
  EXPECT_FALSE(error.outcome_unknown());
  EXPECT_TRUE(unknown.outcome_unknown());
  EXPECT_EQ(unknown.code(), ErrorCode::StoreFailed);
  EXPECT_STREQ(unknown.what(), "sync failed");
}

TEST(Error, ErrnoValuesBecomeCodes) {
  for (int full : {ENOSPC, EDQUOT, EFBIG}) EXPECT_EQ(thrown_for(full).code(), ErrorCode::NoSpace) << full;
  EXPECT_EQ(thrown_for(ENOENT).code(), ErrorCode::NotFound);
  for (int other : {EIO, EINTR, EACCES, EROFS, EBADF}) EXPECT_EQ(thrown_for(other).code(), ErrorCode::Io) << other;
}

TEST(Error, ErrnoMessagesNameTheOperationTheReasonAndWhatToDo) {
  const std::string message = thrown_for(ENOSPC).what();
  EXPECT_THAT(message, testing::StartsWith("cannot write /srv/x: "));
  EXPECT_THAT(message, HasSubstr(std::strerror(ENOSPC)));
  EXPECT_THAT(message, HasSubstr("free space"));
  EXPECT_THAT(thrown_for(EACCES).what(), HasSubstr("permissions"));
}

}  // namespace
}  // namespace azoth
