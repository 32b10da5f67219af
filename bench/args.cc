#include "args.h"

#include <CLI/CLI.hpp>

#include "content.h"

namespace azoth::bench {

namespace {

constexpr const char* kAbout =
    "Measures Azoth and its references on the same work, in short alternating rounds on the same disk, and prints "
    "their\n"
    "rates and ratios. A ratio is the median of the rounds' ratios.";
constexpr double kQuickSeconds = 0.15;
constexpr const char* kNotes =
    "A commit is one put, one event and one tag, where the workload does not say otherwise. 'survives' is what a "
    "commit\n"
    "survives once it was acknowledged: a power cut (synced), or the death of the process (handed to the kernel). "
    "'per\n"
    "sync' is what was counted for each fdatasync or fsync of the whole process; LMDB's default mode flushes once more "
    "a\n"
    "commit, by a write to an O_DSYNC descriptor. 'flushes' is how often Azoth moved a Delta to LMDB, or RocksDB a\n"
    "memtable to a file, warm-up included: sustained numbers should rest on ten or more.\n"
    "Workloads without a reference print figures: times, sizes, counts, each with its target if it has one. Those "
    "that\n"
    "read use one thread and Azoth's default options, checksums included; bare LMDB reads a copy of the same file.\n"
    "The directory should be on the disk that is of interest: in memory, syncing costs nothing.";

}  // namespace

std::optional<Settings> parse_args(int argc, char** argv, int& exit_code) {
  Settings settings;
  bool no_tags = false;
  bool alone = false;
  CLI::App app{kAbout, "azoth-bench"};
  app.footer(kNotes);
  app.set_version_flag("--version", AZOTH_VERSION);
  app.add_option("workloads", settings.workloads,
                 "Names, or beginnings of names, of workloads (default: all that run without a name, see --list)");
  app.add_flag("--list", settings.list,
               "List the workloads; '*' marks those that run only by name, '+' those that --quick leaves out");
  app.add_flag(
      "--quick", settings.quick,
      "Three short rounds (references without a target: one), fewer keys, events and sizes, no sweeps: a first\n"
      "look in less than two minutes. 'sweep --quick' runs a reduced sweep in one minute");
  app.add_option("--dir", settings.directory,
                 "Where to put the stores; they are removed afterwards, also on SIGINT and SIGTERM")
      ->capture_default_str();
  app.add_option("--value-size", settings.value_size, "Bytes of each value and of each event's payload")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, kLargestValue));
  app.add_option("--keys", settings.keys, "Keys of the state, written in random order")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32));
  auto* many_keys = app.add_option("--many-keys", settings.many_keys,
                                   "Keys of the state in the workloads about many (--quick: 1000000)")
                        ->capture_default_str()
                        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32));
  auto* events = app.add_option("--events", settings.events,
                                "Events of the log where it is read, ten of each tag (--quick: 200000)")
                     ->capture_default_str()
                     ->check(CLI::Range(std::uint64_t{10}, std::uint64_t{1} << 32));
  app.add_flag("--no-tags", no_tags, "Events without a tag");
  app.add_option("--threads", settings.threads, "Threads of the workloads with many (default: the workload's own)")
      ->check(CLI::Range(1, 4096));
  auto* seconds = app.add_option("--seconds", settings.seconds, "Measured per system and round")
                      ->capture_default_str()
                      ->check(CLI::Range(0.01, 3600.0));
  auto* rounds =
      app.add_option("--rounds", settings.rounds, "Rounds")->capture_default_str()->check(CLI::Range(1, 1000));
  auto* only_azoth = app.add_flag("--alone", alone, "Azoth only, without references: for a profiler");
  auto* json =
      app.add_flag("--json", settings.json, "Print JSON instead of tables: one object for each line of a table");
  app.add_flag("--targets", settings.targets,
               "Print only what is aimed at, with what was measured; the exit status is 1 if not all is met. Not with "
               "--alone: most targets are ratios")
      ->excludes(json)
      ->excludes(only_azoth);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  settings.tags = !no_tags;
  settings.references = !alone;
  if (settings.quick) {
    if (seconds->count() == 0) settings.seconds = kQuickSeconds;
    if (rounds->count() == 0) settings.rounds = 3;
    if (many_keys->count() == 0) settings.many_keys = 1'000'000;
    if (events->count() == 0) settings.events = 200'000;
  }
  return settings;
}

}  // namespace azoth::bench
