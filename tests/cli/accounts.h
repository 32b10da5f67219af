// A store with a few deposits, and the projection that adds them up.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>

#include "program.h"

namespace azoth::test {

inline std::string accounts_sql(int version = 1, const std::string& amount = ":amount") {
  return "-- azoth:projection accounts version " + std::to_string(version) +
         "\nCREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;\n"
         "-- azoth:on deposited\n"
         "INSERT INTO accounts VALUES (:account, " +
         amount + ") ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents;\n";
}

class AccountsTest : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    deposit("alice", 100);
    deposit("bob", 7);
  }

  void deposit(const std::string& account, int amount) {
    append(R"({"account":")" + account + R"(","amount":)" + std::to_string(amount) + "}");
  }
  void append(const std::string& payload) { store_.ok({"append", "deposited", payload}); }
  Result add(const std::string& text, const std::string& file = "accounts.sql") {
    write_file(store_.file(file), text);
    return store_.run({"--json", "projection", "add", store_.file(file).string()});
  }
  void declare(const std::string& text = accounts_sql()) { ASSERT_EQ(add(text).exit, 0); }
  void declare_and_run() {
    declare();
    store_.ok({"projection", "run"});
  }

  std::map<std::string, int> cents() {
    std::map<std::string, int> all;
    for (const Json& row : store_.ok({"--json", "sql", "SELECT * FROM accounts", "-p", "accounts"}).json_lines())
      all[row["owner"]] = row["cents"];
    return all;
  }
  Json info(const std::string& name = "accounts") {
    for (const Json& row : store_.ok({"--json", "projection", "list"}).json_lines()) {
      if (row["name"] == name) return row;
    }
    return nullptr;
  }

  // Keeps all projections up to date, and is so when this returns.
  std::unique_ptr<Child> follow(std::size_t projections = 1) {
    auto child = std::make_unique<Child>(store_.arguments({"--json", "projection", "run", "--follow"}));
    for (std::size_t i = 0; i < projections; ++i) EXPECT_EQ(next_state(*child)["state"], "live");
    return child;
  }
  static Json next_state(Child& child) {
    std::optional<std::string> line = child.read_error_line();
    return line ? Json::parse(*line) : Json(nullptr);
  }
  static Result end(Child& child, int signal = SIGTERM) {
    ::kill(child.pid(), signal);
    return child.finish();
  }

  StoreDir store_;
};

using Cents = std::map<std::string, int>;

}  // namespace azoth::test
