// `azoth repair`: explains, acts only when told to, and its exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

// A store without its journal: what is in LMDB is kept.
class RepairCommand : public testing::Test {
 protected:
  RepairCommand() {
    store_.init();
    store_.ok({"put", "k", "v"});
    store_.ok({"append", "happened", "{}"});
  }
  void lose_journal() { std::filesystem::remove_all(store_.path() / "journal"); }

  StoreDir store_;
};

TEST_F(RepairCommand, SaysThatNothingIsWrong) {
  for (const Arguments& command : {Arguments{"repair"}, Arguments{"repair", "--accept-loss"}}) {
    Result result = store_.ok(command);
    EXPECT_EQ(
        result.out,
        "nothing is to be repaired: the store opens with commit 2 and event 1; azoth verify looks at all of it\n");
    EXPECT_EQ(result.err, "");
  }
  Json json = store_.ok({"--json", "repair", "--accept-loss"}).json();
  EXPECT_EQ(json["ok"], true);
  EXPECT_EQ(json["repaired"], false);
  EXPECT_EQ(json["kept_commit"], 2);
  EXPECT_EQ(json["damage"], Json::array());
  EXPECT_EQ(json["parent"], nullptr);
}

TEST_F(RepairCommand, ExplainsWithExitCode5AndActsWhenTheLossIsAccepted) {
  std::string timeline = store_.ok({"--json", "status"}).json()["timeline"];
  lose_journal();
  EXPECT_EQ(store_.run({"get", "k"}).exit, 5);
  for (int i = 0; i < 2; ++i) {  // the first one has changed nothing
    Result plan = store_.run({"repair"});
    EXPECT_EQ(plan.exit, 5);
    EXPECT_THAT(plan.out, HasSubstr("the journal is missing"));
    EXPECT_THAT(plan.out, HasSubstr("can be kept: everything up to commit 2 and event 1"));
    EXPECT_THAT(plan.out, HasSubstr("would be lost: "));
    EXPECT_THAT(plan.out, HasSubstr("azoth --db " + store_.path().string() + " repair --accept-loss\n"));
    EXPECT_FALSE(std::filesystem::exists(store_.path() / "journal"));
  }
  Json planned = Json::parse(store_.run({"--json", "repair"}).out);
  EXPECT_EQ(planned["ok"], false);
  EXPECT_EQ(planned["repaired"], false);
  EXPECT_EQ(planned["timeline"], timeline);
  ASSERT_EQ(planned["damage"].size(), 1u);
  EXPECT_EQ(planned["damage"][0]["file"], (store_.path() / "journal").string());

  Json done = store_.ok({"--json", "repair", "--accept-loss"}).json();
  EXPECT_EQ(done["ok"], false);
  EXPECT_EQ(done["repaired"], true);
  EXPECT_EQ(done["parent"], timeline);
  EXPECT_EQ(done["fork"], 2);
  EXPECT_EQ(store_.ok({"--json", "status"}).json()["timeline"], done["timeline"]);
  EXPECT_EQ(store_.ok({"get", "k"}).out, "v\n");
  store_.ok({"put", "k", "w"});
  EXPECT_EQ(store_.ok({"get", "k"}).out, "w\n");
  EXPECT_THAT(store_.ok({"repair"}).out, HasSubstr("nothing is to be repaired"));
}

TEST_F(RepairCommand, SaysWhatItKeptAndLost) {
  lose_journal();
  Result result = store_.ok({"repair", "--accept-loss"});
  EXPECT_THAT(result.out, HasSubstr("kept: everything up to commit 2 and event 1\n"));
  EXPECT_THAT(result.out, HasSubstr("lost: whatever was committed behind that"));
  EXPECT_THAT(result.out, HasSubstr("repaired: the store is on timeline "));
}

TEST_F(RepairCommand, LeavesDamageInLmdbToABackup) {
  std::filesystem::remove(store_.path() / "canonical" / "data.mdb");
  for (const Arguments& command : {Arguments{"repair"}, Arguments{"repair", "--accept-loss"}}) {
    Result result = store_.run(command);
    EXPECT_EQ(result.exit, 5);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("restore the store from a backup"));
  }
}

TEST_F(RepairCommand, IsRefusedBesideAWriterAndWithoutAStore) {
  Child writer(store_.arguments({"apply", "-", "--ack"}));
  writer.send("{\"put\":{\"a\":\"1\"}}\n");
  ASSERT_TRUE(writer.read_line());
  Result result = store_.run({"repair", "--accept-loss"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_THAT(result.err, HasSubstr(std::to_string(writer.pid())));
  EXPECT_EQ(writer.finish().exit, 0);
  EXPECT_EQ(StoreDir("missing").run({"repair"}).exit, 4);
}

}  // namespace
}  // namespace azoth::test
