// export | apply: a store that is read back from its export has the same content.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "azoth/core/bytes.h"
#include "azoth/db.h"
#include "program.h"
#include "support/seed.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

// As small as StoreDir's.
Options options() { return {.delta_bytes = 1 << 20, .segment_bytes = 256 << 10, .map_bytes = 64 << 20}; }

// Reads the export of one store into a new one, and compares.
void expect_same_after_round_trip(const StoreDir& store) {
  Result exported = store.ok({"export"});
  StoreDir copy;
  copy.sizes = store.sizes;
  copy.init();
  copy.ok({"apply", "-", "--durability", "written"}, exported.out);
  EXPECT_EQ(copy.ok({"digest"}).out, store.ok({"digest"}).out);
  EXPECT_EQ(copy.ok({"export"}).out, exported.out);
  copy.ok({"verify"});
}

TEST(Export, AnEmptyStoreHasNoLines) {
  StoreDir store;
  store.init();
  EXPECT_EQ(store.ok({"export"}).out, "");
  expect_same_after_round_trip(store);
}

TEST(Export, APayloadThatIsNestedAsDeeplyAsALineMayBeIsReadBack) {
  StoreDir store;
  store.init();
  for (const std::size_t depth : {std::size_t{997}, std::size_t{998}, std::size_t{1000}}) {
    store.ok({"append", "t", std::string(depth, '[') + std::string(depth, ']')});
  }
  expect_same_after_round_trip(store);
}

TEST(Export, EventsComeFirstByCommitThenTheState) {
  StoreDir store;
  store.init();
  store.ok({"apply", "-"},
           R"({"put":{"k":"v","b":"1"},"events":[{"type":"t","time":"2026-11-21T09:30:00Z","payload":{"n": 1}},)"
           R"({"type":"u","tags":["a:b"],"time":"2026-11-21T09:30:01Z","metadata":{"m":1}}]}
{"del":["b"],"events":[{"type":"w","time":"2026-11-21T09:30:02Z","payload":"x"}]}
)");
  std::vector<Json> lines = store.ok({"export"}).json_lines();
  ASSERT_EQ(lines.size(), 3u);
  ASSERT_EQ(lines[0]["events"].size(), 2u);
  EXPECT_EQ(lines[0]["events"][0]["payload"]["n"], 1);
  EXPECT_FALSE(lines[0]["events"][0].contains("tags"));
  EXPECT_FALSE(lines[0]["events"][1].contains("payload")) << "an empty payload is left out";
  EXPECT_EQ(lines[0]["events"][1]["metadata"]["m"], 1);
  EXPECT_EQ(lines[1]["events"][0]["payload"], "x");
  EXPECT_EQ(lines[2], Json::parse(R"({"put":{"k":"v"}})"));
  expect_same_after_round_trip(store);
}

TEST(Export, WhatIsNotTextIsHex) {
  StoreDir store;
  store.init();
  {
    Db db = Db::open(store.path(), options());
    WriteSet set;
    set.put(std::string("\0\xff", 2), "plain").put("key", "\xfe\xff").put("controls", std::string(300, '\x01'));
    set.put("separators \xe2\x80\xa8", "\xc2\x9b").put("empty", "");
    for (std::string_view payload : {"",
                                     "{}",
                                     "null",
                                     "\"x\"",
                                     "not json",
                                     " {}",
                                     "{} ",
                                     "{\n}",
                                     "{\r}",
                                     "{\"a\":1,\"a\":2}",
                                     "{\"hex\":\"00\"}",
                                     "{\"hex\":5}",
                                     "{\"hex\":\"00\",\"a\":1}",
                                     "[{\"hex\":\"00\"}]",
                                     "1e400",
                                     "\xef\xbb\xbf{}",
                                     "\xff\x00",
                                     "\xed\xa0\x80",
                                     "\"\xc2\x85\"",
                                     "1.0e5"}) {
      set.append({.type = "t", .tags = {}, .payload = payload});
      set.append({.type = "t", .tags = {}, .payload = {}, .metadata = payload});
    }
    set.append({.type = "\xff", .tags = {"\xfe", "a\nb", "{\"hex\":\"00\"}"}, .payload = {}});
    set.append({.type = "old", .tags = {}, .payload = {}, .time = Timestamp(std::chrono::microseconds(-1))});
    db.submit(std::move(set))->wait();
  }
  std::string exported = store.ok({"export"}).out;
  EXPECT_THAT(exported, HasSubstr(R"("payload":{"hex":"7b22686578223a223030227d"})"));
  EXPECT_THAT(exported, HasSubstr(R"("payload":1.0e5)"));
  EXPECT_THAT(exported, HasSubstr(R"("put_hex":{"00ff":"plain"})"));
  EXPECT_THAT(exported, HasSubstr(R"("type":{"hex":"ff"},"tags":[{"hex":"fe"},"a\nb","{\"hex\":\"00\"}"])"));
  expect_same_after_round_trip(store);
}

// Its files would be replaced, or it would be lost with what is kept in it.
TEST(Export, NothingIsPutIntoTheStoresDirectory) {
  StoreDir store;
  store.init();
  for (const char* name : {"identity", "new", "journal/../new"}) {
    const Result result = store.run({"export", (store.path() / name).string()});
    EXPECT_EQ(result.exit, 2) << name;
    EXPECT_THAT(result.err, HasSubstr("is in the directory of the store")) << name;
  }
  EXPECT_EQ(store.run({"backup", "create", (store.path() / "set").string()}).exit, 2);
  EXPECT_FALSE(std::filesystem::exists(store.path() / "set"));
  store.ok({"verify"});
  store.ok({"export", store.path().string() + ".jsonl"});
}

TEST(Export, TheFirstAndTheLastTimesComeBack) {
  StoreDir store;
  store.init();
  {
    Db db = Db::open(store.path(), options());
    WriteSet set;
    set.append({.type = "first", .tags = {}, .payload = {}, .time = Timestamp::min()});
    set.append({.type = "last", .tags = {}, .payload = {}, .time = Timestamp::max()});
    db.submit(std::move(set))->wait();
  }
  expect_same_after_round_trip(store);
}

TEST(Export, RandomBytesComeBackAsTheyWere) {
  std::mt19937_64 random(test_seed());
  auto bytes = [&](std::size_t least, std::size_t most) {
    std::string result(least + random() % (most - least + 1), '\0');
    unsigned spread = random() % 2 == 0 ? 128 : 256;  // ASCII, or anything
    for (char& c : result) c = static_cast<char>(random() % spread);
    return result;
  };
  StoreDir store;
  store.init();
  {
    Db db = Db::open(store.path(), options());
    for (int i = 0; i < 300; ++i) {
      WriteSet set;
      std::string key = bytes(1, 40);
      std::string value = bytes(0, 200);
      set.put(key, value);
      for (std::uint64_t events = random() % 4; events > 0; --events) {
        std::string type = bytes(1, 20);
        std::string payload = bytes(0, 100);
        std::string metadata = bytes(0, 20);
        std::string tag = to_hex(bytes(1, 8));
        std::string other = "\xff" + tag;
        set.append({.type = type, .tags = {tag, other}, .payload = payload, .metadata = metadata});
      }
      ASSERT_TRUE(db.submit(std::move(set), {}, {.level = Durability::Written}));
    }
  }
  expect_same_after_round_trip(store);
}

TEST(Export, LinesStayNearOneMebibyte) {
  StoreDir store;
  store.sizes = {"--segment-size", "16M", "--delta-size", "4M", "--map-size", "64M"};
  store.init();
  std::string line = R"({"put":{)";
  for (int i = 0; i < 30; ++i) line += "\"key" + std::to_string(i) + "\":\"" + std::string(100'000, 'v') + "\",";
  line += R"("last":""},"events":[)";
  for (int i = 0; i < 30; ++i) line += R"({"type":"t","payload":")" + std::string(30'000, 'p') + "\"},";
  line += R"({"type":"big","payload":{"hex":")" + std::string(2'000'000, '0') + "\"}}]}";
  store.ok({"apply", "-", "--durability", "written"}, line);
  std::vector<std::string> lines = store.ok({"export"}).lines();
  EXPECT_GE(lines.size(), 5u);
  for (const std::string& exported : lines) {
    bool big = exported.find("\"big\"") != std::string::npos;
    EXPECT_LE(exported.size(), (std::size_t{1} << 20) + (big ? 1'100'000 : 100));
  }
  expect_same_after_round_trip(store);
}

TEST(Export, AFileIsReplacedOnlyWhenAllOfItIsWritten) {
  StoreDir store;
  store.init();
  store.ok({"put", "key", "a value that can be found in the file"});
  std::string file = store.file("out.jsonl").string();
  write_file(file, "before");
  Result result = store.ok({"export", file});
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(read_file(file), store.ok({"export"}).out);
  write_file(file, "before");
  std::filesystem::path data = store.path() / "canonical" / "data.mdb";
  std::string content = read_file(data);
  for (std::size_t at = content.find("a value"); at != std::string::npos; at = content.find("a value", at + 1)) {
    content[at] ^= 1;
  }
  write_file(data, content);
  EXPECT_EQ(store.run({"export", file}).exit, 5);
  EXPECT_EQ(read_file(file), "before");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store.file(".")))
    files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 1) << "nothing half-written is left";
}

TEST(Export, ASymbolicLinkKeepsItsPlaceAndItsTargetIsReplaced) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  write_file(store.file("target"), "before");
  std::filesystem::create_symlink("target", store.file("link"));
  store.ok({"export", store.file("link").string()});
  EXPECT_TRUE(std::filesystem::is_symlink(store.file("link")));
  EXPECT_EQ(read_file(store.file("target")), "{\"put\":{\"k\":\"v\"}}\n");
}

TEST(Export, ALinkThatLeadsToNothingYetIsFollowedButNotInACircleNorIntoTheStore) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  std::filesystem::create_symlink("later", store.file("link"));
  store.ok({"export", store.file("link").string()});
  EXPECT_TRUE(std::filesystem::is_symlink(store.file("link")));
  EXPECT_EQ(read_file(store.file("later")), store.ok({"export"}).out);
  std::filesystem::create_symlink("circle", store.file("circle"));
  const Result circle = store.run({"export", store.file("circle").string()});
  EXPECT_EQ(circle.exit, 1);
  EXPECT_THAT(circle.err, HasSubstr("following " + store.file("circle").string()));
  std::filesystem::create_symlink(store.path() / "mine", store.file("inwards"));
  EXPECT_EQ(store.run({"export", store.file("inwards").string()}).exit, 2);
  EXPECT_FALSE(std::filesystem::exists(store.path() / "mine"));
}

TEST(Export, ASignalEndsItAndLeavesWhatWasThere) {
  StoreDir store;
  store.init();
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += "{\"events\":[{\"type\":\"t\"}]}\n";
  store.ok({"apply", "-", "--durability", "written"}, lines);
  std::filesystem::create_directory(store.file("out"));
  const std::string file = store.file("out/lines.jsonl").string();
  Result result;
  for (int i = 0; i < 100 && result.exit != 1; ++i) {  // it may be over before it looks
    write_file(file, "before");
    result = Child(store.arguments({"export", file}), {.pending_signal = SIGTERM}).finish();
    ASSERT_EQ(result.signal, 0);
  }
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(result.err, "azoth: interrupted; " + file + " is as it was\n");
  EXPECT_EQ(read_file(file), "before");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(store.file("out")), {}), 1);
}

TEST(Export, WhereThereIsNoDirectoryItIsAFailureToWrite) {
  StoreDir store;
  store.init();
  const Result result = store.run({"export", store.file("none/lines.jsonl").string()});
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(result.err, "azoth: there is no directory " + store.file("none").string() + "\n");
}

}  // namespace
}  // namespace azoth::test
