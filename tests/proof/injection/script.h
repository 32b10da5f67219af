// Scripted workloads: each a short life of a store, with what it needs prepared beforehand, and the check of what must
// be left of it, whatever failed on the way.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/db.h"
#include "canonical/fault_script.h"
#include "injector.h"
#include "told.h"

namespace azoth::inject {

// Files of one run, in a directory of its own.
struct Place {
  std::filesystem::path directory;
  std::filesystem::path store() const { return directory / "store"; }
  std::filesystem::path set() const { return directory / "set"; }
  std::filesystem::path target() const { return directory / "target"; }
};

// What the calls of a workload go through: what is inside of attempt() is counted, the rest is exempt. It goes on
// whatever is thrown, so that each life ends by close().
class Script {
 public:
  // Expects errors, and perhaps std::bad_alloc; nothing is planned that makes them: then each is a complaint.
  enum class Expects { Nothing, Errors, NoMemory };
  Script(Place place, Told& told, Expects expects);

  const Place place;
  const Options options;
  Told& told;

  // Calls, and notes what may not be thrown. The error, if there was one.
  template <class Call>
  std::optional<Error> attempt(Call call) {
    try {
      Counted counted;
      call();
      return std::nullopt;
    } catch (const Error& error) {
      told.met(error.code());
      if (expects_ == Expects::Nothing) told.complain("without a fault: ", error.what());
      return error;
    } catch (const std::bad_alloc&) {
      told.met(ErrorCode::OutOfMemory);
      if (expects_ != Expects::NoMemory) told.complain("std::bad_alloc, and there is memory");
    } catch (const std::exception& error) {
      told.complain("what was thrown is no azoth::Error: ", error.what());
    } catch (...) {
      told.complain("what was thrown is no exception");
    }
    return no_memory_;
  }

  bool expects_errors() const { return expects_ != Expects::Nothing; }

  void with_store(const std::function<void(Db&)>& body);  // opened and closed
  void begin_life() { failed_ = false; }                  // of a store, which takes commits again
  void commit(Db& db, int step, Durability level, std::string_view command = {});
  void wait(const Ticket& ticket, int step, Durability level);

 private:
  const Expects expects_;
  const Error no_memory_;
  std::atomic<bool> failed_{false};  // the store has, in this life
};

struct Workload {
  const char* name;
  void (*prepare)(Script& script);  // without faults; it may end without closing
  void (*run)(Script& script);
  void (*check)(Script& script, Durability least);  // without faults; with gtest's assertions
};

const std::vector<Workload>& workloads();
const Workload& workload(std::string_view name);

// With which nothing waits long, and with which all that can come comes.
Options quick_options();
Options patient_options();

// --- For the checks

// What was said at this level or above, through this commit.
test::Promises promises_of(const Told& told, Durability least, CommitSeq through = ~CommitSeq{0});
// Holds it against the invariants, which writes to it.
void check_store_in(const std::filesystem::path& directory, const Told& told, Durability least,
                    bool has_projection = false);

void check_commits(Script& script, Durability least);
void check_projections(Script& script, Durability least);
void check_backup(Script& script, Durability least);
void check_restore(Script& script, Durability least);
void check_repair(Script& script, Durability least);

}  // namespace azoth::inject
