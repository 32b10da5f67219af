// The command line itself: global options, help, usage errors, exit codes that have nothing to do with content.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kCommands = {"init",   "apply",    "put",    "get",     "del",    "scan", "append",
                                            "events", "status",   "verify", "digest",  "export", "seal", "unseal",
                                            "repair", "sequence", "backup", "restore", "keygen"};

Result run(const Arguments& arguments, const ChildOptions& options = {}) { return Child(arguments, options).finish(); }

TEST(Usage, VersionAndHelpGoToStandardOutput) {
  Result version = run({"--version"});
  EXPECT_EQ(version.exit, 0);
  EXPECT_THAT(version.out, StartsWith("azoth "));
  EXPECT_EQ(version.err, "");
  Result help = run({"--help"});
  EXPECT_EQ(help.exit, 0);
  for (const std::string& command : kCommands) EXPECT_THAT(help.out, HasSubstr("\n  " + command + " ")) << command;
  EXPECT_EQ(help.err, "");
}

TEST(Usage, EveryCommandHasHelpWithExamples) {
  for (const std::string& command : kCommands) {
    Result help = run({command, "--help"});
    EXPECT_EQ(help.exit, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("Usage: azoth " + command)) << command;
    EXPECT_THAT(help.out, HasSubstr("Example")) << command;
    EXPECT_THAT(help.out, HasSubstr("  azoth ")) << command;
  }
}

TEST(Usage, WrongCommandLinesExitWith2AndSayWhy) {
  const std::vector<Arguments> wrong = {{},
                                        {"nonsense"},
                                        {"--nonsense"},
                                        {"put", "k"},
                                        {"put", "k", "v", "more"},
                                        {"put", "k", "v", "--nonsense"},
                                        {"get"},
                                        {"get", "a", "scan"},
                                        {"append", "t", "--command=", "{}"},
                                        {"append", "t", "--tag=", "{}"},
                                        {"scan", "--from=", "a"},
                                        {"append", "t", "++"},
                                        {"apply"},
                                        {"apply", "-", "--durability", "sometimes"},
                                        {"apply", "-", "--pipeline", "0"},
                                        {"apply", "-", "--pipeline", "x"},
                                        {"scan", "--limit", "-1"},
                                        {"scan", "--limit", "1x"},
                                        {"events", "--last", "1", "--limit", "1"},
                                        {"events", "--after", ""},
                                        {"events", "--after", "99999999999999999999"},
                                        {"events", "--follow", "--to", "1"},
                                        {"events", "--follow", "--reverse"},
                                        {"events", "more"},
                                        {"export", ""},
                                        {"seal", "more"},
                                        {"unseal", "--nonsense"},
                                        {"get", "--hex", "k"},
                                        {"put", "--hex", "00", "0"},
                                        {"scan", "--hex", "--from", "x"},
                                        {"get", "k", "--hex", "--raw"},
                                        {"append", "t", "p", "--payload", "q"},
                                        {"append", "t", "{}", "--metadata", "[]"},
                                        {"append", "t", "{}", "--metadata", "{"},
                                        {"append", "t", "{}", "--time", "noon"},
                                        {"append", "t", "{}", "--hex"},
                                        {"append", "t", "{}", "--after", "1"},
                                        {"append", "t", "{}", "--if-none-type", "t"},
                                        {"append", "t", "{}", "--if-none-type", "t", "--after", "1"},
                                        {"append", "t", "{}", "--if-none-tag", "a", "--after", "-1"},
                                        {"append", "t", "{}", "--expect", "none"},
                                        {"append", "t", "{}", "--expect", "a=0"},
                                        {"append", "t", "{}", "--expect", "a="},
                                        {"append", "t", "{}", "--expect", "a=some"},
                                        {"append", "t", "{}", "--command"},
                                        {"put", "k", "v", "--if-value", "u", "--if-absent"},
                                        {"put", "--hex", "00", "01", "--if-value", "x"},
                                        {"del", "--hex", "00", "--if-value", "x"},
                                        {"--map-size", "x", "status"},
                                        {"--segment-size", "1K", "status"},
                                        {"--segment-size", "2G", "status"},
                                        {"--delta-size", "1", "status"},
                                        {"--delta-size", "65G", "status"},
                                        {"--db", "", "status"}};
  TempDir directory;
  for (const Arguments& arguments : wrong) {
    Result result = run(arguments, {.work_directory = directory.path()});
    std::string shown;
    for (const std::string& word : arguments) shown += word + ' ';
    EXPECT_EQ(result.exit, 2) << shown << result.err;
    EXPECT_EQ(result.out, "") << shown;
    EXPECT_THAT(result.err, StartsWith("azoth: ")) << shown;
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Usage, GlobalOptionsMayStandBeforeAndAfterTheCommand) {
  StoreDir store;
  store.init();
  std::string db = store.path().string();
  store.ok({"put", "k", "v"});
  for (const Arguments& arguments :
       std::vector<Arguments>{{"--db", db, "--json", "get", "k"},
                              {"get", "k", "--json", "--db", db},
                              {"get", "--db=" + db, "k", "--json"},
                              {"--json", "get", "--db", db, "k"},
                              {"get", "--json", "--json", "--db", "elsewhere", "--db", db, "k"}}) {
    Result result = run(arguments);
    EXPECT_EQ(result.exit, 0) << result.err;
    EXPECT_EQ(result.out, "{\"key\":\"k\",\"value\":\"v\"}\n");
  }
}

TEST(Usage, TheDirectoryComesFromTheOptionThenTheEnvironmentThenTheDefault) {
  TempDir directory;
  const Arguments sizes = StoreDir().sizes;
  auto with = [&](Arguments arguments) {
    arguments.insert(arguments.end(), sizes.begin(), sizes.end());
    return arguments;
  };
  ChildOptions here{.work_directory = directory.path()};
  ChildOptions variable{.environment_db = "from-variable", .work_directory = directory.path()};
  EXPECT_EQ(run(with({"init"}), here).exit, 0);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "azoth-data"));
  EXPECT_EQ(run(with({"init"}), variable).exit, 0);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "from-variable"));
  EXPECT_EQ(run(with({"--db", "from-option", "init"}), variable).exit, 0);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "from-option"));
}

TEST(Usage, WordsThatLookLikeCommandsOrJsonAreTakenAsTheyStand) {
  StoreDir store;
  store.init();
  for (const char* word : {"scan", "{}", "[a,b]", "%%", "", "-5", "a b", "'q'", "\"dq\"", "k=v"}) {
    store.ok({"put", "key", "--", word});
    EXPECT_EQ(store.ok({"get", "key"}).out, std::string(word) + "\n");
  }
  store.ok({"put", "get", "put"});
  EXPECT_EQ(store.ok({"get", "get"}).out, "put\n");
  store.ok({"put", "--", "--key", "--value"});
  EXPECT_EQ(store.ok({"get", "--", "--key"}).out, "--value\n");
}

TEST(Usage, CommandsOtherThanInitNeverCreateAStore) {
  TempDir directory;
  std::string db = (directory.path() / "none").string();
  const std::vector<Arguments> commands = {{"apply", "-"},
                                           {"put", "k", "v"},
                                           {"get", "k"},
                                           {"del", "k"},
                                           {"scan"},
                                           {"append", "t"},
                                           {"events"},
                                           {"status"},
                                           {"verify"},
                                           {"digest"},
                                           {"export"},
                                           {"seal"},
                                           {"unseal"},
                                           {"events", "--follow"},
                                           {"backup", "create", (directory.path() / "set").string()},
                                           {"backup", "sets"},
                                           {"backup", "forget", "set"}};
  for (Arguments arguments : commands) {
    arguments.insert(arguments.end(), {"--db", db});
    Result result = run(arguments);
    EXPECT_EQ(result.exit, 4) << arguments.front();
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "azoth: no store in " + db + "; create one with: azoth --db " + db + " init\n");
    EXPECT_FALSE(std::filesystem::exists(db)) << arguments.front();
  }
}

TEST(Usage, WithJsonErrorsAreObjectsOnStandardError) {
  TempDir directory;
  Result result = run({"--json", "--db", (directory.path() / "none").string(), "status"});
  Json error = Json::parse(result.err);
  EXPECT_EQ(error["error"], "not_found");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("init"));
  EXPECT_EQ(result.out, "");
}

TEST(Usage, AReaderThatGoesAwayEndsTheProgramQuietly) {
  StoreDir store;
  store.init();
  std::string lines;
  for (int i = 0; i < 2000; ++i)
    lines += "{\"put\":{\"key" + std::to_string(i) + "\":\"" + std::string(200, 'x') + "\"}}\n";
  store.ok({"apply", "-", "--durability", "written"}, lines);
  Child child(store.arguments({"scan"}));
  ASSERT_TRUE(child.read_line());
  child.close_output();
  Result result = child.finish();
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(store.ok({"verify"}).exit, 0);
}

TEST(Usage, OutputThatCannotBeWrittenIsAFailure) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  Result closed = Child(store.arguments({"get", "k"}), {.closed = {1}}).finish();
  EXPECT_EQ(closed.exit, 1);
  EXPECT_THAT(closed.err, HasSubstr("standard output"));
  EXPECT_EQ(store.run({"export", "/dev/full"}).exit, 1);
}

TEST(Usage, ClosedDescriptorsDoNotReachTheStore) {
  StoreDir store;
  store.init();
  Result result = Child(store.arguments({"put", "k", "v"}), {.closed = {0, 1, 2}}).finish();
  EXPECT_EQ(result.exit, 0);
  Result input = Child(store.arguments({"apply", "-"}), {.closed = {0}}).finish();
  EXPECT_EQ(input.exit, 1) << "an input that is closed is not an empty one";
  Result refused = Child(store.arguments({"get", "none"}), {.closed = {0, 1, 2}}).finish();
  EXPECT_EQ(refused.exit, 4);
  EXPECT_EQ(store.ok({"get", "k"}).out, "v\n");
  store.ok({"verify"});
}

// The kernel sends SIGBUS to who touches a page that is not there any more.
TEST(Usage, AMappedFileThatIsCutEndsTheProgramWithAMessage) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  Child writer(store.arguments({"apply", "-", "--ack"}));
  writer.send("{\"put\":{\"other\":\"w\"}}\n");
  ASSERT_TRUE(writer.read_line());
  std::filesystem::resize_file(store.path() / "canonical" / "data.mdb", 0);
  const Result result = writer.finish("{\"require\":{\"k\":\"v\"},\"put\":{\"k\":\"w\"}}\n");
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(result.signal, 0);
  EXPECT_THAT(result.err, HasSubstr("a page of an open file cannot be read"));
}

TEST(Usage, FilesAreTheirOwnersOnly) {
  StoreDir store;
  store.init();
  store.ok({"put", "k", "v"});
  std::filesystem::path exported = store.file("out.jsonl");
  store.ok({"export", exported.string()});
  struct stat about {};
  ASSERT_EQ(::stat(exported.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(store.path().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0700u);
}

TEST(Usage, AnOptionThatIsGivenTwiceIsCalledThat) {
  for (const Arguments& arguments : std::vector<Arguments>{{"put", "k", "v", "--if-value", "a", "--if-value", "b"},
                                                           {"put", "k", "v", "--if-value=a", "--if-value=b"},
                                                           {"scan", "--limit", "1", "--limit", "2"}}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit, 2);
    EXPECT_THAT(result.err, HasSubstr(" may be given only once\n"));
  }
  EXPECT_THAT(run({"put", "k", "v", "--if-value"}).err, StartsWith("azoth: --if-value needs a value\n"));
}

TEST(Usage, AMessageIsOneLineWhateverItNames) {
  EXPECT_EQ(run({"--db", "no\nsuch", "get", "k"}).err,
            "azoth: no store in no\\nsuch; create one with: azoth --db no\\nsuch init\n");
  EXPECT_EQ(split_lines(run({"non\nsense"}).err).size(), 2u) << "what is wrong, and where help is";
}

}  // namespace
}  // namespace azoth::test
