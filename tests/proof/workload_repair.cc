// The workload that loses a part of its journal and has it repaired.
#include <stdexcept>

#include "workload.h"

namespace azoth::proof {

// A store whose writer was killed: everything is copied while it is open and idle, and is durable in the copy.
void Workload::copy_store(const std::filesystem::path& from, const std::filesystem::path& to) {
  FileSystem& fs = FileSystem::posix();
  fs.make_directory(to);
  for (const std::string& name : fs.list(from)) {
    if (std::filesystem::is_directory(from / name)) {
      copy_store(from / name, to / name);
    } else {
      auto file = fs.open(to / name, FileSystem::Mode::Create);
      file->write_at(0, read_file(fs, from / name, std::size_t{64} << 20));
      file->sync_data();
    }
  }
  fs.sync_directory(to);
  fs.sync_directory(to.parent_path());
}

void Workload::damage_and_repair() {
  FileSystem& fs = FileSystem::posix();
  const std::filesystem::path store = places_.store();
  places_.root /= "first";
  fs.make_directory(places_.root);
  Db first = Db::create(places_.store(), store_options());
  std::vector<std::pair<CommitSeq, int>> committed;
  for (int i = 0; i < 8; ++i) {
    const int number = next_step(StepSize::Small);
    committed.emplace_back(first.submit(make_step(number).set())->wait().commit_seq, number);
    if (i == 2) first.checkpoint();
  }
  copy_store(places_.store(), store);
  first.close();
  places_.root = places_.root.parent_path();
  std::string segment = fs.list(store / "journal").back();
  for (const std::string& name : fs.list(store / "journal")) {  // the one that has batches
    if (read_file(fs, store / "journal" / name, std::size_t{1} << 20).find("AZAB") != std::string::npos) segment = name;
  }
  std::string bytes = read_file(fs, store / "journal" / segment, std::size_t{1} << 20);
  std::string payload = make_step(committed[5].second).events[0].payload;
  std::size_t at = bytes.find(payload);
  if (at == std::string::npos) throw std::runtime_error("there is nothing to damage");
  auto file = fs.open(store / "journal" / segment, FileSystem::Mode::Write);
  file->write_at(at, "X");
  file->sync_data();
  RepairReport report = Db::repair(store, store_options());
  if (report.ok() || report.kept_commit != committed[5].first - 1) throw std::runtime_error("the damage was not found");
  for (auto [commit, number] : committed) say(mark::sequenced(commit, number));
  say(mark::damaged(report.kept_commit));
  say(mark::created());
  Db::repair(store, store_options(), {.accept_loss = true});
  say(mark::repaired());
  open();
}

}  // namespace azoth::proof
