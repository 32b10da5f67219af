// Runs a workload with a plan in one process, checks what is left in another, and says what was wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "injector.h"
#include "script.h"

namespace azoth::inject {

struct Case {
  std::string workload;
  Plan plan;
};

// "commits:file:137:EIO:once", with ":lose" behind it where a failed sync loses what was written, or a mistake that is
// planted: AZOTH_INJECT_REPLAY runs just that.
std::string text_of(const Case& one);
Case case_of(const std::string& text);

// Kinds of calls that may fail so.
std::uint32_t kinds_for(int error);
std::string name_of(int error);

struct Counts {
  std::uint64_t of_kinds(std::uint32_t kinds) const;
  std::uint64_t files[kKinds] = {};
  std::uint64_t allocations = 0;
  // Numbers of allocations, without those at which lack of memory is known to be fatal.
  std::vector<std::uint64_t> all;
  std::vector<std::uint64_t> first_of_each_stack;
};

class Runner {
 public:
  Runner();
  ~Runner();

  // Without a fault. The workload must have no complaint and its check no failure.
  Counts count(const std::string& workload, What what);
  // What was wrong, with the line that replays it; empty if nothing was.
  std::string run(const Case& one);
  bool last_was_hit() const { return last_hits_ != 0; }
  bool last_met_an_error() const { return told_->errors() != 0; }
  // Without a fault, but under what `limit` brings about in its process.
  std::string run_under(const std::string& workload, const std::function<void()>& limit);
  // How long it takes without a fault.
  std::uint64_t microseconds(const std::string& workload);
  // Kills it after so many microseconds.
  std::string run_and_kill(const std::string& workload, std::uint64_t microseconds);

 private:
  struct Template;

  const Template& template_of(const Workload& workload);
  std::string run_from_template(const Case& one, std::uint64_t kill_after);
  std::string check(const Case& one, const Workload& workload);

  std::filesystem::path base_;
  std::vector<std::unique_ptr<Template>> templates_;
  Shared<Told> told_;
  Shared<Report> report_;
  std::uint64_t last_hits_ = 0;
};

// Some of 1..count: all if there are no more than `most` of them, or in the long mode; else a random sample. A share of
// that where the whole proof is not asked for.
std::vector<std::uint64_t> sample(std::uint64_t count, std::size_t most, std::uint64_t seed);

}  // namespace azoth::inject
