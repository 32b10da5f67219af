// Backing a store up while it is written, and going back to the moment before a mistake.
//
//   backups DIRECTORY
#include <azoth/db.h>

#include <filesystem>
#include <iostream>
#include <string>

namespace {

azoth::CommitInfo set_balance(azoth::Db& db, std::string_view cents) {
  azoth::WriteSet set;
  set.put("balance/alice", cents)
      .append({.type = "balance set", .tags = {"account:alice"}, .payload = R"({"account":"alice"})"});
  return db.submit(std::move(set))->wait();  // durable
}

void show(const std::string& where, const azoth::Db& db) {
  std::cout << where << ": alice has " << db.read().get("balance/alice").value() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path place = argc > 1 ? argv[1] : "backups-example";
  std::filesystem::create_directories(place);
  std::filesystem::remove_all(place / "restored");
  try {
    azoth::Db db = azoth::Db::open_or_create(place / "store");
    azoth::CommitInfo good = set_balance(db, "100");
    db.backup(place / "set");  // a full snapshot; the set is made with the first one
    azoth::CommitInfo bad = set_balance(db, "90");
    db.backup(place / "set", {.incremental = true});

    azoth::backup::SetReport report = azoth::Db::verify_backup(place / "set");
    std::cout << "the set is " << (report.ok() ? "whole" : "damaged") << '\n';

    // Event by event, whichever snapshot it lies in.
    azoth::backup::RestoreReport restored = azoth::Db::restore(
        place / "set", place / "restored", {.target = azoth::backup::RestoreTarget::event(good.last_event)});
    std::cout << "restored event " << restored.event << ", before event " << bad.last_event << '\n';
    show("restored", azoth::Db::open(place / "restored"));
    show("store", db);
    return 0;
  } catch (const azoth::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
