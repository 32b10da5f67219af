#include "workload.h"

#include <algorithm>

#include "azoth/core/error.h"

namespace azoth::bench {

std::vector<Workload> all_workloads() {
  std::vector<Workload> all;
  for (auto* add : {add_commit_workloads, add_tail_workloads, add_transaction_workloads, add_batch_workloads,
                    add_point_read_workloads, add_scan_workloads, add_mixed_workloads, add_event_read_workloads,
                    add_projection_workloads, add_recovery_workloads, add_backup_workloads, add_stall_workloads,
                    add_memory_workloads, add_disk_workloads, add_growth_workloads, add_sweep_workloads}) {
    add(all);
  }
  return all;
}

void run_child(const std::string& name, const std::vector<std::string>& arguments) {
  if (name == "crash") return crash_child(arguments);
  if (name == "backup") return backup_child(arguments);
  if (name == "memory") return memory_child(arguments);
  throw Error(ErrorCode::InvalidArgument, "there is no child '" + name + "'");
}

namespace {

bool selects(const std::string& name, const Workload& workload, bool quick) {
  if (workload.name == name) return true;
  return workload.name.starts_with(name) && !(quick && workload.run == Run::ByNameInFull);
}

std::vector<bool> wanted(const std::vector<Workload>& all, const std::string& name, bool quick) {
  bool exact = std::any_of(all.begin(), all.end(), [&](const Workload& workload) { return workload.name == name; });
  std::vector<bool> result;
  for (const Workload& workload : all) {
    result.push_back(exact ? workload.name == name : selects(name, workload, quick));
  }
  if (std::find(result.begin(), result.end(), true) == result.end()) {
    throw Error(ErrorCode::InvalidArgument, "there is no workload '" + name + "'; --list shows them all");
  }
  return result;
}

}  // namespace

std::vector<Workload> select_workloads(const std::vector<std::string>& names, bool quick) {
  std::vector<Workload> all = all_workloads();
  std::vector<bool> selected(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    selected[i] = names.empty() && (all[i].run == Run::Always || (all[i].run == Run::InFull && !quick));
  }
  for (const std::string& name : names) {
    std::vector<bool> by_name = wanted(all, name, quick);
    for (std::size_t i = 0; i < all.size(); ++i) selected[i] = selected[i] || by_name[i];
  }
  std::vector<Workload> result;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (selected[i]) result.push_back(std::move(all[i]));
  }
  return result;
}

}  // namespace azoth::bench
