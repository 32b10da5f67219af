// Command ids: how a transaction is done once, however often it is sent.
//
// A client that did not hear the answer (a crash, a timeout, a lost connection) sends the same transaction again with
// the same id. The first that commits is recorded together with its effects; every later one changes nothing and gets
// the CommitInfo of the first, with `already_applied`, after any number of restarts. Neither its conditions and
// validators nor its body are looked at. What was rejected or has failed is not recorded: it may be tried again. While
// the store is sealed, paused or closed, a repeat is refused as any transaction is.
//
// A fingerprint, any bytes that stand for the content of the request, guards against two requests with one id: with
// another fingerprint than the first the repeat is an error, CommandMismatch. It is compared where both have one.
//
// Ids are kept for ever, or at least as long as Options::command_retention says.
#pragma once

#include <string_view>

namespace azoth {

// Borrowed for the call.
struct Command {
  std::string_view id;                // 1..128 bytes, unique for the request
  std::string_view fingerprint = {};  // none if empty
};

}  // namespace azoth
