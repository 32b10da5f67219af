// The workloads: one file a group in this folder, each adding its own to the list.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "contest.h"
#include "figure.h"
#include "scratch.h"
#include "settings.h"

namespace azoth::bench {

// Whether a workload runs when nobody names it.
enum class Run {
  Always,
  InFull,       // yes, but not with --quick
  ByName,       // only if it is named, or the beginning of its name
  ByNameInFull  // the same, and with --quick only by its whole name
};

struct Workload {
  std::string name;
  std::string what;  // one line
  // One of the two. Makes the contestants; what they need on disk goes into the scratch directory.
  std::function<Contest(const Settings& settings, Scratch& scratch)> contest = {};
  // Or measures what is no comparison.
  std::function<std::vector<Figure>(const Settings& settings, Scratch& scratch, const Progress& progress)> measure = {};
  Run run = Run::Always;
};

std::vector<Workload> all_workloads();
// Those with one of the names; a name that is nobody's selects all that begin with it. Without names, all that run
// without. Throws InvalidArgument for a name that selects none.
std::vector<Workload> select_workloads(const std::vector<std::string>& names, bool quick);

// What a second process of this program does, by name; see child.h.
void run_child(const std::string& name, const std::vector<std::string>& arguments);

void add_commit_workloads(std::vector<Workload>& all);       // commits.cc
void add_transaction_workloads(std::vector<Workload>& all);  // transactions.cc
void add_sweep_workloads(std::vector<Workload>& all);        // sweeps.cc
void add_batch_workloads(std::vector<Workload>& all);        // batches.cc
void add_point_read_workloads(std::vector<Workload>& all);   // point_reads.cc
void add_scan_workloads(std::vector<Workload>& all);         // scans.cc
void add_mixed_workloads(std::vector<Workload>& all);        // mixed.cc
void add_event_read_workloads(std::vector<Workload>& all);   // event_reads.cc
void add_projection_workloads(std::vector<Workload>& all);   // projections.cc
void add_recovery_workloads(std::vector<Workload>& all);     // recovery.cc
void crash_child(const std::vector<std::string>& arguments);
void add_backup_workloads(std::vector<Workload>& all);  // backups.cc
void backup_child(const std::vector<std::string>& arguments);
void add_growth_workloads(std::vector<Workload>& all);  // growth.cc
void add_tail_workloads(std::vector<Workload>& all);    // tails.cc
void add_stall_workloads(std::vector<Workload>& all);   // stalls.cc
void add_memory_workloads(std::vector<Workload>& all);  // memory.cc
void memory_child(const std::vector<std::string>& arguments);
void add_disk_workloads(std::vector<Workload>& all);  // disk.cc

}  // namespace azoth::bench
