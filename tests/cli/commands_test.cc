// Each command but apply and export: what it prints and what it answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "azoth/core/bytes.h"
#include "azoth/core/clock.h"
#include "azoth/db.h"
#include "program.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Lines = std::vector<std::string>;

TEST(Commands, InitCreatesOnceAndSaysTheStoreId) {
  StoreDir store;
  Json created = store.ok({"--json", "init"}).json();
  EXPECT_EQ(created["directory"], store.path().string());
  EXPECT_EQ(created["store_id"].get<std::string>().size(), 32u);
  EXPECT_EQ(store.ok({"--json", "status"}).json()["store_id"], created["store_id"]);
  Result again = store.run({"init"});
  EXPECT_EQ(again.exit, 3);
  EXPECT_THAT(again.err, HasSubstr(store.path().string()));
  EXPECT_EQ(store.ok({"--json", "status"}).json()["store_id"], created["store_id"]);
  StoreDir other;
  EXPECT_THAT(other.ok({"init"}).out, HasSubstr("created store"));
}

TEST(Commands, PutGetAndDel) {
  StoreDir store;
  store.init();
  EXPECT_EQ(store.ok({"put", "k", "v 1"}).out, "");
  EXPECT_EQ(store.ok({"put", "k", "v 2", "--json"}).out, "{\"commit\":2}\n");
  EXPECT_EQ(store.ok({"get", "k"}).out, "v 2\n");
  EXPECT_EQ(store.ok({"get", "k", "--raw"}).out, "v 2");
  EXPECT_EQ(store.ok({"get", "k", "--json"}).out, "{\"key\":\"k\",\"value\":\"v 2\"}\n");
  EXPECT_EQ(store.ok({"del", "k", "--json"}).out, "{\"commit\":3,\"existed\":true}\n");
  EXPECT_EQ(store.ok({"del", "k", "--json"}).out, "{\"commit\":null,\"existed\":false}\n");
  EXPECT_EQ(store.ok({"del", "k"}).out, "");
  Result gone = store.run({"get", "k"});
  EXPECT_EQ(gone.exit, 4);
  EXPECT_EQ(gone.out, "");
  EXPECT_EQ(gone.err, "azoth: no key k\n");
  EXPECT_EQ(store.ok({"--json", "status"}).json()["last_commit"], 3);
}

TEST(Commands, BytesAreHex) {
  StoreDir store;
  store.init();
  store.ok({"put", "--hex", "00ff", "0A0b"});
  EXPECT_EQ(store.ok({"get", "--hex", "00FF"}).out, "0a0b\n");
  EXPECT_EQ(store.ok({"get", "--hex", "00ff", "--json"}).out, "{\"key_hex\":\"00ff\",\"value_hex\":\"0a0b\"}\n");
  EXPECT_EQ(store.ok({"scan", "--hex"}).out, "00ff\t0a0b\n");
  EXPECT_EQ(store.ok({"scan", "--json"}).out, "{\"key_hex\":\"00ff\",\"value\":\"\\n\\u000b\"}\n");
  EXPECT_EQ(store.ok({"scan"}).out, "\\x00\\xff\t\\n\\x0b\n");
  EXPECT_EQ(store.ok({"scan", "--hex", "00", "--keys-only"}).out, "00ff\n");
  EXPECT_EQ(store.run({"get", "--hex", "00"}).exit, 4);
  store.ok({"del", "--hex", "00ff"});
  EXPECT_EQ(store.ok({"scan"}).out, "");
}

TEST(Commands, LimitsAreFailures) {
  StoreDir store;
  store.init();
  EXPECT_EQ(store.run({"put", "", "v"}).exit, 1);
  Json error = Json::parse(store.run({"--json", "put", std::string(512, 'k'), "v"}).err);
  EXPECT_EQ(error["error"], "key_too_large");
  EXPECT_EQ(store.run({"append", ""}).exit, 1);
  EXPECT_EQ(store.run({"append", "t", "{}", "--tag", "a", "--tag", "a"}).exit, 1);
  EXPECT_EQ(store.ok({"--json", "status"}).json()["last_commit"], 0);
}

TEST(Commands, ScanSelectsByPrefixAndRange) {
  StoreDir store;
  store.init();
  store.ok({"apply", "-"}, R"({"put":{"a":"1","b/1":"2","b/2":"3","b/3":"4","c":"5"}})");
  auto keys = [&](Arguments arguments) {
    arguments.insert(arguments.begin(), {"scan", "--keys-only"});
    return store.ok(arguments).lines();
  };
  EXPECT_EQ(keys({}), (Lines{"a", "b/1", "b/2", "b/3", "c"}));
  EXPECT_EQ(keys({"b/"}), (Lines{"b/1", "b/2", "b/3"}));
  EXPECT_EQ(keys({"--from", "b/2"}), (Lines{"b/2", "b/3", "c"}));
  EXPECT_EQ(keys({"--to", "b/2"}), (Lines{"a", "b/1"}));
  EXPECT_EQ(keys({"b/", "--from", "a", "--to", "b/3"}), (Lines{"b/1", "b/2"}));
  EXPECT_EQ(keys({"b/", "--from", "b/2", "--to", "z"}), (Lines{"b/2", "b/3"}));
  EXPECT_EQ(keys({"--reverse", "--limit", "2"}), (Lines{"c", "b/3"}));
  EXPECT_EQ(keys({"b/", "--reverse"}), (Lines{"b/3", "b/2", "b/1"}));
  EXPECT_EQ(keys({"--limit", "0"}), Lines{});
  EXPECT_EQ(keys({"--from", "c", "--to", "a"}), Lines{});
  EXPECT_EQ(keys({"x"}), Lines{});
  EXPECT_EQ(store.ok({"scan", "b/", "--limit", "1"}).out, "b/1\t2\n");
  EXPECT_EQ(store.ok({"scan", "b/", "--limit", "1", "--json"}).out, "{\"key\":\"b/1\",\"value\":\"2\"}\n");
  EXPECT_EQ(store.ok({"scan", "b/", "--limit", "1", "--json", "--keys-only"}).out, "{\"key\":\"b/1\"}\n");
}

TEST(Commands, AppendPrintsTheId) {
  StoreDir store;
  store.init();
  EXPECT_EQ(store.ok({"append", "deposited", R"({"n": 1.0})", "--tag", "account:alice", "--tag", "[x,y]"}).out, "1\n");
  EXPECT_EQ(store.ok({"append", "t", "--json"}).out, "{\"event\":2,\"commit\":2}\n");
  store.ok({"append", "t", "-"}, "{\"from\":\"stdin\"}\n");
  store.ok({"append", "t", "--payload", "-"}, "no newline");
  store.ok({"append", "t", "--hex", "00ff"});
  store.ok({"append", "t", "{}", "--metadata", R"({"by":"x"})", "--time", "2001-02-03T04:05:06.5+01:00"});
  std::vector<Json> events = store.ok({"events", "--json"}).json_lines();
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0]["tags"], (Json{"account:alice", "[x,y]"}));
  EXPECT_EQ(events[1]["payload_hex"], "");
  EXPECT_EQ(events[2]["payload"]["from"], "stdin");
  EXPECT_EQ(events[3]["payload_hex"], "6e6f206e65776c696e65");
  EXPECT_EQ(events[4]["payload_hex"], "00ff");
  EXPECT_EQ(events[5]["metadata"]["by"], "x");
  EXPECT_EQ(events[5]["time"], format_time(*parse_time("2001-02-03T03:05:06.5Z")));
  EXPECT_EQ(store.ok({"append", "t", "--payload", "{}"}).out, "7\n");
}

TEST(Commands, AValueInBracketsIsTakenAsItIs) {
  StoreDir store;
  store.init();
  for (const std::string value :
       {"[a,b]", "[a]\x1f", "[", "[\x1f", "[]\x1f\x1f", "-- x=[1,2]", "--note=[1]", "---=[k"}) {
    store.ok({"put", "k", "--", value});
    EXPECT_EQ(store.ok({"get", "k"}).out, value + "\n");
    store.ok({"append", "t", "--payload=" + value});
    store.ok({"append", "t", "--payload", value});
    store.ok({"append", "t", "--", value});
    const std::vector<Json> events = store.ok({"events", "--json", "--last", "3"}).json_lines();
    ASSERT_EQ(events.size(), 3u);
    for (const Json& event : events) EXPECT_EQ(event["payload_hex"], to_hex(value)) << event;
  }
  store.ok({"put", "k", "-- x=[1,2]"});
  EXPECT_EQ(store.ok({"get", "k"}).out, "-- x=[1,2]\n");
  store.ok({"append", "t", "--tag", "--", "--tag=[abc", "1"});
  EXPECT_EQ(store.ok({"events", "--json", "--last", "1"}).json()["tags"], (Json{"--", "[abc"}));
  EXPECT_THAT(store.run({"events", "--limit", "[5"}).err, testing::HasSubstr("\"[5\" is not"));
}

TEST(Commands, MetadataThatIsNullIsToldFromNone) {
  StoreDir store;
  store.init();
  {
    Db db = Db::open(store.path());
    WriteSet set;
    set.append({.type = "t", .tags = {}, .payload = {}, .metadata = "null"})
        .append({.type = "t", .tags = {}, .payload = {}});
    db.submit(std::move(set))->wait();
  }
  const std::vector<Json> events = store.ok({"events", "--json"}).json_lines();
  EXPECT_EQ(events.at(0)["metadata_hex"], "6e756c6c");
  EXPECT_TRUE(events.at(1).at("metadata").is_null());
}

TEST(Commands, EventsInJsonHaveAllFieldsAndTheSourceText) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  store.ok({"append", "t", R"({"a":  1.0e5,"b":"\u00e9"})", "--tag", "x:y", "--time", "2026-11-21T09:30:00Z"});
  std::string time = format_time(*parse_time("2026-11-21T09:30:00Z"));
  EXPECT_EQ(store.ok({"events", "--json"}).out,
            R"({"id":1,"commit":2,"time":")" + time +
                R"(","type":"t","tags":["x:y"],"payload":{"a":  1.0e5,"b":"\u00e9"},"metadata":null})" + "\n");
}

TEST(Commands, EventsForPeopleAreOneLineEach) {
  StoreDir store;
  store.init();
  store.ok({"append", "type\n1", "line 1\nline 2", "--tag", "a:b", "--tag", "c\td", "--time", "2026-11-21T09:30:00Z"});
  store.ok({"append", "t", "--hex", "fffe", "--time", "2026-11-21T09:30:00Z"});
  store.ok({"append", "t", R"({"s":"a\nb"})", "--time", "2026-11-21T09:30:00Z"});
  std::string time = format_time(*parse_time("2026-11-21T09:30:00Z"));
  EXPECT_EQ(store.ok({"events"}).lines(),
            (Lines{"1\t" + time + "\ttype\\n1\ta:b,c\\td\tline 1\\nline 2", "2\t" + time + "\tt\t\thex:fffe",
                   "3\t" + time + "\tt\t\t{\"s\":\"a\\nb\"}"}));
}

class EventSelection : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    std::string lines;
    for (int i = 1; i <= 10; ++i) {
      lines += R"({"events":[{"type":")" + std::string(i % 2 == 0 ? "even" : "odd") + R"(","tags":["n:)" +
               std::to_string(i) + R"(","third:)" + std::to_string(i % 3) + R"("]}]})" + "\n";
    }
    store_.ok({"apply", "-"}, lines);
  }

  std::vector<int> ids(Arguments arguments) {
    arguments.insert(arguments.begin(), {"events", "--json"});
    std::vector<int> result;
    for (const Json& event : store_.ok(arguments).json_lines()) result.push_back(event["id"].get<int>());
    return result;
  }

  StoreDir store_;
};

TEST_F(EventSelection, ByIdsIsAfterExclusiveToInclusive) {
  EXPECT_THAT(ids({"--after", "7"}), ElementsAre(8, 9, 10));
  EXPECT_THAT(ids({"--to", "3"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids({"--after", "3", "--to", "5"}), ElementsAre(4, 5));
  EXPECT_THAT(ids({"--after", "010"}), ElementsAre());
  EXPECT_THAT(ids({"--after", "3", "--limit", "2"}), ElementsAre(4, 5));
}

TEST_F(EventSelection, LastIsTheNewestInOrder) {
  EXPECT_THAT(ids({"--last", "3"}), ElementsAre(8, 9, 10));
  EXPECT_THAT(ids({"--last", "3", "--reverse"}), ElementsAre(10, 9, 8));
  EXPECT_THAT(ids({"--last", "2", "--to", "5"}), ElementsAre(4, 5));
  EXPECT_THAT(ids({"--last", "2", "--type", "odd"}), ElementsAre(7, 9));
  EXPECT_THAT(ids({"--last", "100"}), testing::SizeIs(10));
  EXPECT_THAT(ids({"--last", "0"}), ElementsAre());
  EXPECT_THAT(ids({"--reverse", "--limit", "2"}), ElementsAre(10, 9));
}

TEST_F(EventSelection, ByTypesAnyAndTagsAll) {
  EXPECT_THAT(ids({"--type", "even"}), ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(ids({"--type", "even", "--type", "odd"}), testing::SizeIs(10));
  EXPECT_THAT(ids({"--type", "none"}), ElementsAre());
  EXPECT_THAT(ids({"--tag", "third:0"}), ElementsAre(3, 6, 9));
  EXPECT_THAT(ids({"--tag", "third:0", "--tag", "n:6"}), ElementsAre(6));
  EXPECT_THAT(ids({"--tag", "third:0", "--type", "odd", "--reverse"}), ElementsAre(9, 3));
  EXPECT_THAT(ids({"--tag", "third:0", "--after", "3", "--limit", "1"}), ElementsAre(6));
}

TEST(Commands, StatusHasAllFields) {
  StoreDir store;
  store.init();
  store.ok({"apply", "-"}, R"({"put":{"a":"1","b":"2"},"events":[{"type":"t"},{"type":"u"},{"type":"v"}]})");
  Json status = store.ok({"--json", "status"}).json();
  EXPECT_EQ(status["last_commit"], 1);
  EXPECT_EQ(status["last_event"], 3);
  EXPECT_TRUE(status["sealed_event"].is_null());
  EXPECT_EQ(status["state_keys"], 2);
  EXPECT_EQ(status["projections"], Json::array());
  EXPECT_GT(status["journal_bytes"].get<std::uint64_t>(), 0u);
  EXPECT_EQ(status["map_bytes"], 64 << 20);
  EXPECT_TRUE(status["failure"].is_null());
  EXPECT_TRUE(status["recovery"]["clean"].get<bool>());
  for (const char* field : {"flushed_seq", "durable_seq", "visible_seq", "applied_seq"})
    EXPECT_EQ(status[field], 1) << field;
  for (const char* field :
       {"store_id", "timeline", "format_version", "created", "delta_bytes", "live_deltas", "journal_segments",
        "map_used_bytes", "readers", "commits", "batches", "syncs", "flushes"}) {
    EXPECT_TRUE(status.contains(field)) << field;
  }
  Result table = store.ok({"status"});
  EXPECT_THAT(table.out,
              AllOf(HasSubstr(status["store_id"].get<std::string>()), HasSubstr("2 keys"), HasSubstr("64.0 MiB")));
}

TEST(Commands, StatusSaysWhatACrashLeft) {
  StoreDir store;
  store.init();
  Child child(store.arguments({"apply", "-", "--ack", "--durability", "written"}));
  child.send("{\"put\":{\"k\":\"v\"}}\n");
  ASSERT_TRUE(child.read_line());
  child.kill();
  EXPECT_EQ(child.finish().signal, 9);
  Json status = store.ok({"--json", "status"}).json();
  EXPECT_FALSE(status["recovery"]["clean"].get<bool>());
  EXPECT_EQ(status["last_commit"], 1);
  EXPECT_EQ(status["recovery"]["last_commit"], 1);
}

TEST(Commands, DigestNamesContentWhateverTheHistory) {
  StoreDir store;
  store.init();
  Result empty = store.ok({"digest"});
  store.ok({"put", "k", "v"});
  Result one = store.ok({"digest"});
  ASSERT_EQ(one.lines().size(), 1u);
  EXPECT_EQ(one.lines()[0].find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(one.out, empty.out);
  EXPECT_EQ(store.ok({"digest", "--json"}).json()["digest"], one.lines()[0]);
  store.ok({"put", "k", "w"});
  store.ok({"put", "k", "v"});
  EXPECT_EQ(store.ok({"digest"}).out, one.out);
}

TEST(Commands, VerifySaysWhatItChecked) {
  StoreDir store;
  store.init();
  store.ok({"apply", "-"}, R"({"put":{"a":"1"},"events":[{"type":"t","tags":["x:y","z"]}]})");
  Result text = store.ok({"verify"});
  EXPECT_THAT(text.out, HasSubstr("1 keys, 1 events, 2 tag entries"));
  Json report = store.ok({"verify", "--json"}).json();
  EXPECT_TRUE(report["ok"].get<bool>());
  EXPECT_EQ(report["commits"], 1);
  EXPECT_EQ(report["state_keys"], 1);
  EXPECT_EQ(report["events"], 1);
  EXPECT_EQ(report["tag_entries"], 2);
  EXPECT_EQ(report["problems"], Json::array());
  EXPECT_TRUE(report.contains("journal_batches") && report.contains("journal_segments") && report.contains("notes"));
}

// Changes one byte of each place where `bytes` stands in LMDB's file.
int damage(const StoreDir& store, const std::string& bytes) {
  std::filesystem::path file = store.path() / "canonical" / "data.mdb";
  std::string content = read_file(file);
  int places = 0;
  for (std::size_t at = content.find(bytes); at != std::string::npos; at = content.find(bytes, at + 1), ++places) {
    content[at] ^= 1;
  }
  write_file(file, content);
  return places;
}

TEST(Commands, DamageIsFoundAndExitsWith5) {
  StoreDir store;
  store.init();
  store.ok({"put", "key", "a value that can be found in the file"});
  ASSERT_GT(damage(store, "a value that can be found"), 0);
  Result verify = store.run({"verify"});
  EXPECT_EQ(verify.exit, 5);
  EXPECT_THAT(verify.out, HasSubstr("problem: "));
  Result json = store.run({"verify", "--json"});
  EXPECT_EQ(json.exit, 5);
  EXPECT_FALSE(json.json()["ok"].get<bool>());
  EXPECT_GE(json.json()["problems"].size(), 1u);
  EXPECT_EQ(store.run({"get", "key"}).exit, 5);
  EXPECT_EQ(store.run({"scan"}).exit, 5);
  EXPECT_EQ(store.run({"export"}).exit, 5);
  EXPECT_EQ(Json::parse(store.run({"get", "key", "--json"}).err)["error"], "corruption");
}

}  // namespace
}  // namespace azoth::test
