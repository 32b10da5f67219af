#include "explorer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "checker.h"

namespace azoth::proof {

namespace {

constexpr CommitSeq kOwnCommits = 64;  // that the store may have made by itself behind the last one that is known

// What is written through maps is garbage in some states.
std::uint64_t garbage_in(const DiskState& state) {
  const std::uint64_t hash = state.hash();
  return hash % 4 == 0 ? hash : 0;
}

bool changes_disk(const Op& op) {
  if (op.kind == OpKind::Open) return op.has(op_flag::kCreated) || op.has(op_flag::kTruncated);
  return op.kind != OpKind::Map && op.kind != OpKind::Mark;
}

// Everything that is promised, and which step every commit is, the commits that were under way included.
test::History history_of(const Case& what, const std::vector<Op>& ops) {
  Promises all;
  for (const std::string& mark : what.marks) all.apply(mark);
  for (const Op& op : ops) {
    if (op.kind == OpKind::Mark) all.apply(op.data);
  }
  return {make_step, all.order, all.sequenced + kOwnCommits};
}

// The program itself, with the recorder loaded; see main().
[[noreturn]] void become_workload(const Case& what, const std::string& root, const std::string& log,
                                  const std::string& fault) {
  alarm(300);  // one that hangs
  setenv(kRootVariable, root.c_str(), 1);
  setenv(kLogVariable, log.c_str(), 1);
  if (!fault.empty()) setenv(kFaultVariable, fault.c_str(), 1);
  std::ostringstream life;
  life << what.life.seed << ' ' << what.life.number << ' ' << what.life.has_projection << ' '
       << what.life.projection_version << ' ' << what.life.has_set;
  execl("/proc/self/exe", "power_cuts", "--workload", what.workload.c_str(), root.c_str(), life.str().c_str(),
        static_cast<char*>(nullptr));
  _exit(126);
}

}  // namespace

// --- Cases

void save_case(const Case& what, const std::filesystem::path& log, const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory / "base");
  materialise(what.base, (directory / "base").string());
  std::ofstream marks(directory / "marks");
  for (const std::string& mark : what.marks) marks << mark << '\n';
  std::ofstream(directory / "case") << what.workload << ' ' << what.life.seed << ' ' << what.life.number << '\n';
  std::filesystem::copy_file(log, directory / "log");
}

Case load_case(const std::filesystem::path& directory) {
  Case loaded;
  loaded.base = load_state((directory / "base").string());
  std::ifstream marks(directory / "marks");
  for (std::string mark; std::getline(marks, mark);) loaded.marks.push_back(mark);
  std::ifstream(directory / "case") >> loaded.workload >> loaded.life.seed >> loaded.life.number;
  return loaded;
}

void Explorer::replay(const std::filesystem::path& directory, const std::string& point, const Cut& cut) {
  const Case what = load_case(directory);
  const std::vector<Op> ops = read_trace(directory / "log");
  const auto last = static_cast<std::size_t>(std::stoull(point));
  Promises now;
  for (const std::string& mark : what.marks) now.apply(mark);
  Disk disk(what.base);
  for (std::size_t i = 0; i <= last && i < ops.size(); ++i) {
    if (ops[i].kind == OpKind::Mark) now.apply(ops[i].data);
    disk.apply(ops[i], i);
    if (i < last || point.ends_with('+')) disk.settle();
  }
  const std::filesystem::path root = directory / "state";
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root);
  DiskState state = disk.after(cut);
  materialise(state, root.string(), garbage_in(state));
  std::filesystem::remove_all(directory / "as-found");
  std::filesystem::copy(root, directory / "as-found", std::filesystem::copy_options::recursive);
  const test::History history = history_of(what, ops);
  now.history = &history;
  Checker(root, now, state.hash(), {}).check();
}

// --- Explorer

Explorer::Explorer(std::filesystem::path scratch, Board::Worker& board, Limits limits)
    : scratch_(std::move(scratch)), board_(board), limits_(std::move(limits)) {}

void Explorer::explore(const Case& what) {
  Run run{.what = what,
          .directory = scratch_ / std::to_string(what.life.number),
          .ops = {},
          .now = {},
          .history = {},
          .marks = what.marks,
          .seen = {},
          .seen_parts = {},
          .seen_projections = {}};
  std::filesystem::create_directories(run.directory / "root");
  std::filesystem::create_directories(run.directory / "state");
  try {
    run.ops = record(what, run.directory);
    run.history = history_of(what, run.ops);
    run.now.history = &*run.history;
    for (const std::string& mark : what.marks) run.now.apply(mark);
    walk(run);
    ++board_.traces;
  } catch (const std::exception& error) {
    bad(run, "0", "none", error.what());
  }
}

std::vector<Op> Explorer::record(const Case& what, const std::filesystem::path& directory) {
  Board::put(board_.doing, sizeof board_.doing, what.workload + ", seed " + std::to_string(what.life.seed));
  const std::string root = (directory / "root").string();
  const std::filesystem::path log = directory / "log";
  std::filesystem::remove(log);
  materialise(what.base, root);
  pid_t child = fork();
  if (child < 0) throw_errno(errno, "forking");
  if (child == 0) become_workload(what, root, log.string(), limits_.fault);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("the workload did not get to its end");
  return read_trace(log);
}

void Explorer::walk(Run& run) {
  Disk disk(run.what.base);
  bool waits = !limits_.after.empty();
  for (std::size_t i = 0; i < run.ops.size() && !over(); ++i) {
    const Op& op = run.ops[i];
    const std::string point = std::to_string(i);
    disk.apply(op, i);
    if (op.kind == OpKind::Mark) {
      run.now.apply(op.data);
      run.marks.push_back(op.data);
      if (op.data.starts_with("sequenced")) continue;  // promises nothing
      ++run.epoch;
    } else if (!changes_disk(op)) {
      continue;
    }
    waits = waits && !(op.kind == OpKind::Mark && op.data.starts_with(limits_.after));
    if (!waits) cut(run, disk, point);
    if (!op.has(op_flag::kSynchronous) || op.kind != OpKind::Write) continue;
    disk.settle();
    if (!waits) cut(run, disk, point + "+");
  }
  if (!over()) compare_with_reality(disk, run.directory / "root");
}

void Explorer::cut(Run& run, const Disk& disk, const std::string& point) {
  const std::uint64_t seed = mix(run.what.life.seed, std::stoull(point));
  for (const Cut& cut : cuts_at(disk.pieces(), disk.entry_changes(), seed)) {
    if (over()) return;
    const DiskState state = disk.after(cut);
    if (!run.seen.insert(mix(state.hash(), run.epoch)).second) continue;
    check(run, state, point, cut);
    const std::uint64_t dice = mix(state.hash(), seed);
    const std::uint64_t rarity = limits_.next_life_one_in * (run.what.life.number == 0 ? 1 : 4);
    const bool can = run.now.begun && run.now.repair != Promises::Repair::Damaged;
    if (can && run.what.life.number + 1 < kLives && dice % rarity == 0) live_on(run, state, dice);
  }
}

void Explorer::check(Run& run, const DiskState& state, const std::string& point, const Cut& cut) {
  const std::filesystem::path root = run.directory / "state";
  Board::put(board_.doing, sizeof board_.doing,
             run.what.workload + ", life " + std::to_string(run.what.life.number) + ", seed " +
                 std::to_string(run.what.life.seed) + ", operation " + point + ", cut " + cut.text());
  alarm(120);
  ++board_.states;
  if (run.what.life.number > 0) ++board_.later_states;
  // A part that was found right under the same promises still is.
  DiskState needed;
  auto is_new = [&](const char* place, bool needs) {
    DiskState part = state.below(place);
    const bool fresh = run.seen_parts.insert(mix(part.hash() ^ checksum64(place), run.epoch)).second;
    if (fresh || needs) needed.add(part);
    return fresh;
  };
  Checker::Parts parts;
  parts.store = is_new("store", false);
  parts.restored = is_new("restored", false);
  parts.set = is_new("set", parts.store || parts.restored);  // from which these restore, in some states
  parts.known_projections = &run.seen_projections;
  parts.projections = mix(state.below("store/projections").hash(), run.epoch);
  materialise(needed, root.string(), garbage_in(state));
  try {
    Checker(root, run.now, state.hash(), parts).check();
  } catch (const std::exception& error) {
    ++board_.bad_states;
    bad(run, point, cut.text(), error.what());
  }
  alarm(0);
}

void Explorer::live_on(Run& run, const DiskState& state, std::uint64_t seed) {
  Case next{.workload = Workload::kNextLife,
            .life = {.seed = seed,
                     .number = run.what.life.number + 1,
                     .has_projection = run.now.has_projection,
                     .projection_version = run.now.projection_version,
                     .has_set = run.now.has_set},
            .base = state,
            .marks = run.marks};
  for (const Op& op : run.ops) {  // what was under way, and may be there
    if (op.kind == OpKind::Mark && op.data.starts_with("sequenced")) next.marks.push_back(op.data);
  }
  explore(next);
}

// That the model of the disk, at the end of a trace, has just what is there: nothing escaped the recorder.
void Explorer::compare_with_reality(const Disk& disk, const std::filesystem::path& root) {
  const DiskState modelled = disk.cached();
  const DiskState real = load_state(root.string());
  if (modelled.directories != real.directories) throw std::runtime_error("the recorder has missed a directory");
  auto other = real.files.begin();
  for (const auto& [path, file] : modelled.files) {
    if (other == real.files.end() || other->first != path) throw std::runtime_error("the recorder has missed a file");
    bool same = file.image.size() == other->second.image.size() && file.image.hash() == other->second.image.hash();
    if (!same && !file.mapped) throw std::runtime_error("the recorder has missed a change of " + path);
    bool may_be_mapped = path.ends_with("lock.mdb") || path.ends_with("-shm");
    if (file.mapped && !may_be_mapped) throw std::runtime_error(path + " is written through a map");
    ++other;
  }
  if (other != real.files.end()) throw std::runtime_error("the recorder has missed the file " + other->first);
}

void Explorer::bad(Run& run, const std::string& point, const std::string& cut, const std::string& why) {
  const bool first = board_.bad++ == 0;
  std::string text = std::string(board_.doing) + ":\n  " + why;
  if (!limits_.keep.empty()) {
    std::filesystem::path directory = limits_.keep / ("bad-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory);
    std::ofstream(directory / "list", std::ios::app) << text << '\n';
    if (!first) return;
    save_case(run.what, run.directory / "log", directory);
    text += "\n  to see it again: --replay " + directory.string() + " " + point + " " + cut;
  }
  if (first) Board::put(board_.failure, sizeof board_.failure, text);
}

}  // namespace azoth::proof
