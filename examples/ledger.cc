// A ledger: accounts are keys, movements are events, and a transfer is one transaction that checks the balance under
// its locks. Each transfer carries a command id, so that sending it again does nothing.
#include <azoth/core/value.h>
#include <azoth/db.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

namespace {

std::string key_of(std::string_view account) { return "balance/" + std::string(account); }

void open_account(azoth::Db& db, std::string_view account, std::int64_t amount) {
  std::string tag = "account:" + std::string(account);
  auto outcome = db.transaction()
                     .exclusive(key_of(account))
                     .require_absent(key_of(account))
                     .execute([&](azoth::Txn& txn) {
                       txn.put(key_of(account), azoth::i64(amount));
                       std::string payload = R"({"amount":)" + azoth::i64(amount) + "}";
                       txn.append({.type = "opened", .tags = {tag}, .payload = payload});
                     });
  if (!outcome) std::cout << "not opened: " << outcome.rejection().message() << '\n';
}

void transfer(azoth::Db& db, std::string_view id, std::string_view from, std::string_view to, std::int64_t amount) {
  std::string from_tag = "account:" + std::string(from);
  std::string to_tag = "account:" + std::string(to);
  auto outcome = db.transaction()
                     .command(id)
                     .exclusive({key_of(from), key_of(to)})
                     .require_exists(key_of(to))
                     .require_min(key_of(from), amount)
                     .execute([&](azoth::Txn& txn) {
                       auto balance = [&](std::string_view account) { return azoth::as_i64(*txn.get(key_of(account))); };
                       txn.put(key_of(from), azoth::i64(balance(from) - amount));
                       txn.put(key_of(to), azoth::i64(balance(to) + amount));
                       std::string payload = R"({"amount":)" + azoth::i64(amount) + "}";
                       txn.append({.type = "transferred", .tags = {from_tag, to_tag}, .payload = payload});
                     });
  std::cout << id << ": ";
  if (!outcome) {
    std::cout << "rejected: " << outcome.rejection().message() << '\n';
  } else if (outcome.already_applied()) {
    std::cout << "was done by commit " << outcome.commit().commit_seq << '\n';
  } else {
    std::cout << "done by commit " << outcome.commit().commit_seq << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) try {
  azoth::Db db = azoth::Db::open_or_create(argc > 1 ? argv[1] : "ledger");
  open_account(db, "alice", 100);
  open_account(db, "bob", 0);
  transfer(db, "transfer-1", "alice", "bob", 70);
  transfer(db, "transfer-1", "alice", "bob", 70);  // the client did not hear the answer
  transfer(db, "transfer-2", "alice", "bob", 70);  // too much
  azoth::ReadTxn snapshot = db.read();
  for (auto [key, value] : snapshot.scan("balance/")) std::cout << key << " = " << value << '\n';
  return 0;
} catch (const azoth::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
