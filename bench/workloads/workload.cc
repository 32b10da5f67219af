#include "workload.h"

#include <algorithm>

#include "azoth/core/error.h"

namespace azoth::bench {

std::vector<Workload> all_workloads() {
  std::vector<Workload> all;
  for (auto* add : {add_commit_workloads, add_transaction_workloads, add_batch_workloads, add_point_read_workloads, add_event_read_workloads,
                    add_projection_workloads, add_recovery_workloads, add_backup_workloads, add_stall_workloads, add_memory_workloads, add_disk_workloads}) {
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

std::vector<Workload> select_workloads(const std::vector<std::string>& names) {
  std::vector<Workload> all = all_workloads();
  if (names.empty()) return all;
  std::vector<bool> wanted(all.size());
  for (const std::string& name : names) {
    bool exact = std::any_of(all.begin(), all.end(), [&](const Workload& workload) { return workload.name == name; });
    bool found = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (exact ? all[i].name != name : !all[i].name.starts_with(name)) continue;
      wanted[i] = found = true;
    }
    if (!found) {
      throw Error(ErrorCode::InvalidArgument, "there is no workload '" + name + "'; --list shows them all");
    }
  }
  std::vector<Workload> selected;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (wanted[i]) selected.push_back(std::move(all[i]));
  }
  return selected;
}

}  // namespace azoth::bench
