// seal and unseal: the history is closed to every writer until it is opened again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Seal : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    store_.ok({"apply", "-"}, "{\"put\":{\"k\":\"v\"},\"events\":[{\"type\":\"t\"},{\"type\":\"u\"}]}\n");
  }
  Json sealed_event() { return store_.ok({"--json", "status"}).json()["sealed_event"]; }

  StoreDir store_;
};

TEST_F(Seal, PrintsTheLastEventAndStatusShowsIt) {
  EXPECT_TRUE(sealed_event().is_null());
  EXPECT_EQ(store_.ok({"seal"}).out, "sealed at event 2\n");
  EXPECT_EQ(sealed_event(), 2);
  EXPECT_THAT(store_.ok({"status"}).out, AllOf(HasSubstr("sealed     at event 2"), HasSubstr("azoth unseal")));
}

TEST_F(Seal, SealingASealedStoreSaysSoAndCommitsNothing) {
  EXPECT_EQ(store_.ok({"seal", "--json"}).out, "{\"sealed_event\":2,\"already_sealed\":false}\n");
  Json before = store_.ok({"--json", "status"}).json();
  EXPECT_EQ(store_.ok({"seal", "--json"}).out, "{\"sealed_event\":2,\"already_sealed\":true}\n");
  EXPECT_EQ(store_.ok({"seal"}).out, "was sealed already at event 2\n");
  EXPECT_EQ(store_.ok({"--json", "status"}).json()["last_commit"], before["last_commit"]);
}

TEST_F(Seal, EveryWriteExitsWith3AndSaysWhatWouldOpenIt) {
  store_.ok({"seal"});
  Json before = store_.ok({"--json", "status"}).json();
  const std::string line = "{\"put\":{\"k\":\"w\"}}\n";
  for (const Arguments& command : std::vector<Arguments>{{"put", "k", "w"},
                                                         {"del", "k"},
                                                         {"del", "none"},
                                                         {"append", "t"},
                                                         {"apply", "-"},
                                                         {"apply", "-", "--keep-going"}}) {
    Result result = store_.run(command, line);
    EXPECT_EQ(result.exit, 3) << command.front();
    EXPECT_THAT(result.err, HasSubstr("azoth --db " + store_.path().string() + " unseal")) << command.front();
  }
  EXPECT_EQ(Json::parse(store_.run({"--json", "put", "k", "w"}).err)["error"], "sealed");
  EXPECT_EQ(store_.ok({"get", "k"}).out, "v\n");
  EXPECT_EQ(store_.ok({"--json", "status"}).json()["last_commit"], before["last_commit"]);
}

TEST_F(Seal, UnsealOpensItAgain) {
  store_.ok({"seal"});
  EXPECT_EQ(store_.ok({"unseal"}).out, "unsealed\n");
  EXPECT_TRUE(sealed_event().is_null());
  store_.ok({"put", "k", "w"});
  EXPECT_EQ(store_.ok({"append", "t"}).out, "3\n") << "a seal is no event";
  EXPECT_EQ(store_.ok({"unseal"}).out, "was not sealed\n");
  EXPECT_EQ(store_.ok({"seal", "--json"}).json()["sealed_event"], 3);
  EXPECT_EQ(store_.ok({"unseal", "--json"}).out, "{\"was_sealed\":true}\n");
  EXPECT_EQ(store_.ok({"unseal", "--json"}).out, "{\"was_sealed\":false}\n");
}

TEST_F(Seal, ReadingASealedStoreWorksAndItsDigestIsTheSame) {
  std::string digest = store_.ok({"digest"}).out;
  store_.ok({"seal"});
  EXPECT_EQ(store_.ok({"digest"}).out, digest);
  EXPECT_EQ(store_.ok({"events"}).lines().size(), 2u);
  store_.ok({"verify"});
}

TEST_F(Seal, AnEmptyStoreIsSealedAtEvent0) {
  StoreDir empty;
  empty.init();
  EXPECT_EQ(empty.ok({"seal"}).out, "sealed at event 0\n");
  EXPECT_EQ(empty.ok({"--json", "status"}).json()["sealed_event"], 0);
  EXPECT_EQ(empty.run({"append", "t"}).exit, 3);
}

}  // namespace
}  // namespace azoth::test
