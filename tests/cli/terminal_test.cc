// What is printed on a terminal can neither move its cursor nor hide what follows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kEscape = "\x1b]0;title\x07";
const std::string kControl = "\xc2\x9b";  // U+009B, which some terminals take for an escape sequence

class Terminal : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    store_.ok({"put", "key" + kEscape, "value" + kEscape + kControl + "\\n"});
    store_.ok({"append", "type" + kEscape, "{\"s\":\"" + kControl + "\"}", "--tag", "tag" + kEscape});
    store_.ok({"append", "raw", "not json " + kEscape});
  }

  std::string shown(const Arguments& command) {
    return Child(store_.arguments(command), {.terminal = true}).finish().out;
  }

  StoreDir store_;
};

TEST_F(Terminal, NoCommandPrintsControlCharacters) {
  for (const Arguments& command : std::vector<Arguments>{{"get", "key" + kEscape},
                                                         {"get", "--json", "key" + kEscape},
                                                         {"scan"},
                                                         {"scan", "--json"},
                                                         {"events"},
                                                         {"events", "--json"},
                                                         {"export"},
                                                         {"get", "none" + kEscape + kControl},
                                                         {"backup", "list", "set" + kEscape},
                                                         {"restore", "set" + kEscape, "target" + kControl},
                                                         {"backup", "forget", "set" + kEscape},
                                                         {"keygen", "none" + kEscape + "/key"},
                                                         {"nonsense" + kEscape},
                                                         {"put", "k", "v", kEscape},
                                                         {"status", "--db", "x" + kEscape}}) {
    std::string out = shown(command);
    EXPECT_NE(out, "") << command.front();
    EXPECT_THAT(out, Not(HasSubstr("\x1b"))) << command.front();
    EXPECT_THAT(out, Not(HasSubstr("\x07"))) << command.front();
    EXPECT_THAT(out, Not(HasSubstr(kControl))) << command.front();
  }
}

TEST_F(Terminal, GetShowsWhatItEscapes) {
  EXPECT_EQ(shown({"get", "key" + kEscape}), "value\\x1b]0;title\\x07\\u{9b}\\n\n");
  EXPECT_EQ(shown({"get", "--raw", "key" + kEscape}), "value" + kEscape + kControl + "\\n") << "--raw means it";
}

TEST_F(Terminal, JsonMeansTheSameThere) {
  Json event = Json::parse(shown({"events", "--json", "--limit", "1"}));
  EXPECT_EQ(event["payload"]["s"], kControl);
  EXPECT_EQ(event["type"], "type" + kEscape);
}

TEST_F(Terminal, APipeGetsTheBytesThemselves) {
  EXPECT_EQ(store_.ok({"get", "key" + kEscape}).out, "value" + kEscape + kControl + "\\n\n");
  EXPECT_THAT(store_.ok({"events", "--json"}).out, HasSubstr("{\"s\":\"" + kControl + "\"}"));
}

}  // namespace
}  // namespace azoth::test
