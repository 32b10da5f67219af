// Code of the user that a transaction runs: validators and bodies. Calls back into the same store that would wait for
// the transaction they are part of are refused instead (NestedUse), and to know them each thread lists the stores whose
// transactions it runs such code for.
#pragma once

namespace azoth {

class UserCode {
 public:
  explicit UserCode(const void* store) : store_(store), outer_(innermost_) { innermost_ = this; }
  ~UserCode() { innermost_ = outer_; }
  UserCode(const UserCode&) = delete;
  UserCode& operator=(const UserCode&) = delete;

  // Whether this thread runs such code for this store.
  static bool runs_for(const void* store) {
    for (const UserCode* code = innermost_; code != nullptr; code = code->outer_) {
      if (code->store_ == store) return true;
    }
    return false;
  }

 private:
  static inline thread_local const UserCode* innermost_ = nullptr;

  const void* store_;
  const UserCode* outer_;
};

}  // namespace azoth
