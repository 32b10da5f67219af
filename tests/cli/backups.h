// A store with a few commits, a place for its snapshot set, and stores that are restored from that.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "program.h"

namespace azoth::test {

class BackupsTest : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    commit(R"({"put":{"a":"1","b":"1"},"events":[{"type":"t","tags":["x:y"],"payload":{"n":1}}]})");
    commit(R"({"put":{"a":"2"},"events":[{"type":"t","tags":["x:y"],"payload":{"n":2}},{"type":"u"}]})");
  }

  void commit(const std::string& line) { store_.ok({"apply", "-"}, line + "\n"); }
  std::string digest() { return store_.ok({"digest"}).out; }
  Json status() { return store_.ok({"--json", "status"}).json(); }

  std::string set() const { return store_.file("set").string(); }
  Json create(const Arguments& options = {}) {
    Arguments command = {"--json", "backup", "create", set()};
    command.insert(command.end(), options.begin(), options.end());
    return Json::parse(store_.ok(command).out);
  }
  Json increment() { return create({"--incremental"}); }
  // The snapshots, without the last line.
  std::vector<Json> list() {
    std::vector<Json> lines = store_.ok({"--json", "backup", "list", set()}).json_lines();
    lines.pop_back();
    return lines;
  }
  Json restorable() { return store_.ok({"--json", "backup", "list", set()}).json_lines().back().at("restorable"); }

  // A file of a snapshot, by a part of its name: "full_state".
  std::filesystem::path snapshot_file(const std::string& part) const {
    for (const auto& entry : std::filesystem::directory_iterator(set())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("snapshot_") && name.find(part) != std::string::npos) return entry.path();
    }
    throw std::runtime_error("the set has no file " + part);
  }
  static void flip_a_bit(const std::filesystem::path& path) {
    std::string content = read_file(path);
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
    write_file(path, content);
  }

  std::string target(const std::string& name = "target") const { return store_.file(name).string(); }
  Result try_restore(const Arguments& options, const std::string& name = "target") {
    Arguments command = {"--json", "restore", set(), target(name)};
    command.insert(command.end(), options.begin(), options.end());
    return store_.run(command);
  }
  Json restore(const Arguments& options = {}, const std::string& name = "target") {
    const Result result = try_restore(options, name);
    EXPECT_EQ(result.exit, 0) << result.err;
    return Json::parse(result.out);
  }
  // A command on a restored store.
  Result on(const std::string& name, const Arguments& command) {
    Arguments all = {"--db", target(name)};
    all.insert(all.end(), store_.sizes.begin(), store_.sizes.end());
    all.insert(all.end(), command.begin(), command.end());
    return Child(all).finish();
  }

  // A process that has the store open for writing, and has committed this line.
  std::unique_ptr<Child> writer(const std::string& line) {
    auto child = std::make_unique<Child>(store_.arguments({"apply", "-", "--ack"}));
    child->send(line + "\n");
    EXPECT_TRUE(child->read_line()) << "the writer has ended";
    return child;
  }

  std::string key(const std::string& name = "key") {
    const std::string file = store_.file(name).string();
    if (!std::filesystem::exists(file)) store_.ok({"keygen", file});
    return file;
  }

  static std::vector<std::string> members(const Json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    return names;
  }
  static std::string message(const Result& result) { return Json::parse(result.err).at("message"); }

  StoreDir store_;
};

}  // namespace azoth::test
