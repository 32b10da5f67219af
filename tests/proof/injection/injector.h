// What stands between a program and the system: it counts the calls on files below one directory, and the allocations,
// and makes the Nth of them fail, or the process die there. LMDB, SQLite and the standard library are counted as
// Azoth is.
//
// It is a shared library. A test program links it before all others and arms it in a forked child; any other program
// gets it by LD_PRELOAD, with its plan in the environment:
//
//   LD_PRELOAD=libazoth_injector.so AZOTH_INJECT=file:137:5:once:/srv/ledger azoth verify
//
// that is: what is counted (file, memory), from 1; an errno, or "kill", or "short"; once or sticky; the directory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace azoth::inject {

enum class Kind : int {
  Open,
  Create,
  Read,
  Write,
  Sync,
  Truncate,
  Allocate,
  Rename,
  Unlink,
  MakeDirectory,
  Map,
  MapSync,
  Lock,
  Stat,
  List
};
inline constexpr std::size_t kKinds = 15;
constexpr std::uint32_t bit(Kind kind) { return std::uint32_t{1} << static_cast<int>(kind); }
inline constexpr std::uint32_t kAllKinds = (std::uint32_t{1} << kKinds) - 1;

enum class What : int { Nothing, Files, Memory };

// Mistakes that the injector makes in the product's place, so that the tests can be seen to find them.
enum class Plant : int {
  None,
  SwallowSync,    // a sync fails, and nobody hears of it
  RetrySync,      // a sync fails, is tried again, and the second one succeeds, as the kernel's would
  SwallowWrite,   // a write that failed is taken for done
  SwallowRename,  // likewise
  ShortWrite,     // a write that was cut short is taken for whole
  Hang,           // instead of failing, the call never returns
  Crash           // instead of failing, the process aborts
};

inline constexpr int kKill = -1;   // in place of an errno: as kill -9, in front of the call
inline constexpr int kShort = -2;  // a read or a write does half of what it was to do

struct Plan {
  What what = What::Nothing;
  std::uint64_t at = 0;             // which of the calls of these kinds, from 1; or which allocation; 0: none
  std::uint32_t kinds = kAllKinds;  // that are counted
  int error = 0;
  bool sticky = false;  // all from there on. (EINTR: a few of them, because it is right to try those again)
  // A sync that fails loses what was written since the last one, as a disk's write-back error does once the pages are
  // dropped.
  bool lose = false;
  Plant plant = Plant::None;
  char directory[256] = {};
};

// Shared with who looks at it, so that it is there after a kill.
struct Report {
  std::atomic<std::uint64_t> files[kKinds];  // calls, by kind
  std::atomic<std::uint64_t> allocations;
  std::atomic<std::uint64_t> hits;  // that the plan was carried out
  std::atomic<bool> sync_failed;    // one of them was a sync
  char call[32];                    // the first of them
  char place[256];                  // on which file
  // When allocations are counted with this on: a hash of the stack that each came from; 0 if nothing is to be made of
  // it.
  static constexpr std::size_t kStacks = std::size_t{1} << 18;
  bool note_stacks;
  std::uint64_t stacks[kStacks];
};

extern "C" {
void azoth_inject_arm(const Plan* plan, Report* report);  // counting begins anew
void azoth_inject_disarm();
void azoth_inject_exempt(int more);  // +1: this thread's calls are not counted until as many -1 have come
}

// What a test does for itself is no test of anything.
class Exempt {
 public:
  Exempt() { azoth_inject_exempt(1); }
  ~Exempt() { azoth_inject_exempt(-1); }
  Exempt(const Exempt&) = delete;
  Exempt& operator=(const Exempt&) = delete;
};

// Inside of it, what the store does for it.
class Counted {
 public:
  Counted() { azoth_inject_exempt(-1); }
  ~Counted() { azoth_inject_exempt(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

}  // namespace azoth::inject
