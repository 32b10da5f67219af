// A store of whose sequences numbers are drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "write_path_support.h"

namespace azoth::test {

inline constexpr std::uint64_t kBlock = 4096;

inline Options options_with_block(std::uint64_t block) {
  Options options = quiet_options();
  options.sequence_block = block;
  return options;
}

class SequenceStore : public WritePath {
 protected:
  std::uint64_t next(std::uint64_t n = 1, Durability level = Durability::Durable) { return store_->next_sequence("s", n, level); }
  ErrorCode refusal() {
    return code_of([&] { return next(); });
  }
  CommitSeq applied() { return store_->status().applied_seq; }

  // As a kill at this moment would leave it.
  std::unique_ptr<Store> crashed() {
    copy_store(store_.directory(), copies_.path() / "copy");
    return Store::open(copies_.path() / "copy", store_.options());
  }
  void use(const Options& options) {
    store_.close();
    store_.set_options(options);
    store_.open();
  }

  TestStore store_;
  TempDir copies_;
};

using Listed = std::vector<std::pair<std::string, std::uint64_t>>;

inline Listed listed(const Store& store) {
  Listed all;
  for (const SequenceInfo& sequence : store.sequences()) all.emplace_back(sequence.name, sequence.next);
  return all;
}

}  // namespace azoth::test
