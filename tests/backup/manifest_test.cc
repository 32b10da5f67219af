#include "manifest.h"

#include <functional>

#include "sealed_text.h"
#include "support.h"

namespace azoth::backup::test {
namespace {

Manifest example(SnapshotType type = SnapshotType::Full) {
  Manifest m = facts(5, 9, type == SnapshotType::Diff ? 2 : 0, {{uuid_of(3), uuid_of(2), 4}, {uuid_of(2)}});
  m.set_id = uuid_of(9);
  m.ordinal = 3;
  m.type = type;
  m.azoth_version = "1.2.3";
  m.state_rows = 12;
  m.state_digest = std::string(64, 'a');
  m.events_digest = std::string(64, 'b');
  m.projections = {{"accounts", true, 9, 1, "ff00"}, {"sums"}};
  m.content_sums = std::string(32, 'e');
  if (type == SnapshotType::Diff) m.base_hash = std::string(64, 'c');
  const FileKind kind = type == SnapshotType::Full ? FileKind::State : FileKind::Commits;
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    ManifestFile file{"", kind, shard, 2, 200 + shard, 7, std::string(64, 'd')};
    file.name = file_name(identity_of(m, file));
    m.files.push_back(file);
  }
  return m;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string text_of(const Manifest& m) { return open_sealed_text(encode_manifest(m, nullptr), "", nullptr, "m").text; }

// As somebody would seal it who has no key.
std::string seal(const std::string& text) { return seal_text(text, "azoth snapshot manifest", nullptr); }

void expect_refused(const std::string& bytes, const std::string& part, const Key* key = nullptr) {
  expect_error([&] { decode_manifest(bytes, key, "m"); }, ErrorCode::Corruption, part, bytes.substr(0, 3000));
}

TEST(Manifest, IsReadBackAsItWasWritten) {
  const Key key = Key::random();
  for (const SnapshotType type : {SnapshotType::Full, SnapshotType::Diff}) {
    Manifest m = example(type);
    EXPECT_EQ(decode_manifest(encode_manifest(m, nullptr), nullptr, "m").manifest, m);
    EXPECT_FALSE(decode_manifest(encode_manifest(m, nullptr), nullptr, "m").authenticated);
    m.key_id = key.id();
    const ReadManifest read = decode_manifest(encode_manifest(m, &key), &key, "m");
    EXPECT_EQ(read.manifest, m);
    EXPECT_TRUE(read.authenticated);
    EXPECT_FALSE(decode_manifest(encode_manifest(m, &key), nullptr, "m").authenticated);
  }
}

TEST(Manifest, IsTextAndAlwaysTheSame) {
  EXPECT_EQ(encode_manifest(example(), nullptr), encode_manifest(example(), nullptr));
  const std::string text = text_of(example());
  EXPECT_THAT(text, testing::HasSubstr("\"type\": \"full\""));
  EXPECT_THAT(text, testing::HasSubstr("\"last_commit\": 9"));
}

TEST(Manifest, EveryFlippedAndEveryMissingByteIsFound) {
  const Key key = Key::random();
  Manifest m = example();
  for (const Key* with : {static_cast<const Key*>(nullptr), &key}) {
    m.key_id = with == nullptr ? "" : with->id();
    const std::string good = encode_manifest(m, with);
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const char flip : {'\x01', '\x20', '\x80'}) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ flip);
        expect_refused(bytes, "m is damaged", with);
      }
      expect_refused(good.substr(0, at), "m is damaged", with);
      if (HasFailure()) return;
    }
    expect_refused(good + "\n", "m is damaged", with);
    expect_refused(good + good, "m is damaged", with);
  }
}

TEST(Manifest, ThatIsForgedOrOfAnotherKeyIsFound) {
  const Key key = Key::random();
  const Key other = Key::random();
  Manifest m = example();
  m.key_id = key.id();
  expect_refused(encode_manifest(m, &other), "was changed on purpose", &key);
  expect_refused(encode_manifest(m, nullptr), "is not authenticated", &key);
  const std::string good = encode_manifest(m, &key);
  const std::string forged = replaced(good, "\"state_rows\": 12", "\"state_rows\": 13");
  const std::string text = forged.substr(0, forged.rfind("{\"hash\""));
  const std::string authenticator = good.substr(good.rfind("\",\"auth\""));
  std::string line = seal(text).substr(text.size());
  line = line.substr(0, line.size() - 3) + authenticator;  // the right hash, the old authenticator
  expect_refused(text + line, "was changed on purpose", &key);
  expect_refused(seal(text), "do not fit");  // without the key it is found, too
  expect_error([&] { open_sealed_text(good, "another purpose", &key, "m"); }, ErrorCode::Corruption, "on purpose");
}

// Whoever has no key to fear can seal what he likes: the reader takes only what a writer writes.
TEST(HostileManifest, MembersThatAreMissingUnknownDoubledOrMovedAreRefused) {
  const std::string text = text_of(example());
  EXPECT_EQ(decode_manifest(seal(text), nullptr, "m").manifest, example());
  expect_refused(seal(replaced(text, " \"ordinal\": 3,\n", "")), "'ordinal' is missing");
  expect_refused(seal(replaced(text, " \"ordinal\": 3,\n", " \"ordinal\": 3,\n \"more\": 1,\n")), "no manifest has");
  expect_refused(seal(replaced(text, " \"ordinal\": 3,\n", " \"ordinal\": 3,\n \"ordinal\": 3,\n")), "no manifest has");
  expect_refused(seal(replaced(text, " \"ordinal\": 3,\n", " \"ordinal\":  3,\n")), "no manifest has");
  expect_refused(seal(replaced(text, "\"1.2.3\"", "\"\\u0031.2.3\"")), "no manifest has");
  expect_refused(seal(" " + text), "no manifest has");
  for (const std::string junk : {"", "{}", "[]", "null", "{", "\"a\"", "{\"format\": 1}", "\xff\xfe"}) {
    expect_refused(seal(junk + "\n"), "m is damaged");
  }
}

TEST(HostileManifest, NumbersOutOfRangeAreRefused) {
  const std::string text = text_of(example());
  for (const std::string bad : {"0", "-1", "3.0", "1e3", "\"3\"", "null", "[]", "18446744073709551616",
                                "9223372036854775808", "18446744073709551615"}) {
    expect_refused(seal(replaced(text, "\"ordinal\": 3", "\"ordinal\": " + bad)), "m is damaged");
  }
  for (const char* member : {"after_commit", "last_commit", "state_rows", "commits", "operations", "last_event"}) {
    const std::size_t at = text.find(std::string("\"") + member + "\": ");
    const std::size_t end = text.find(',', at);
    const std::string huge = text.substr(0, at) + "\"" + member + "\": 9223372036854775808" + text.substr(end);
    expect_refused(seal(huge), "m is damaged");
  }
  expect_refused(seal(replaced(text, "\"compression_level\": 0", "\"compression_level\": 20")), "compression level");
  expect_refused(seal(replaced(text, "\"shards\": 2", "\"shards\": 4294967297")), "m is damaged");
  expect_refused(seal(replaced(text, "\"bytes\": 200", "\"bytes\": 5")), "shorter than its header");
  expect_refused(seal(replaced(text, "\"bytes\": 200", "\"bytes\": 9223372036854775807")), "too large");
}

TEST(HostileManifest, NamesThatAreNotTheFilesOwnAreRefused) {
  const Manifest m = example();
  const std::string text = text_of(m);
  const std::string name = m.files[0].name;
  for (const std::string& bad : std::vector<std::string>{
           "../" + name, "/etc/passwd", "..", ".", "", "a/b", "a\\\\b", name + "\\u0000", name + "\\n", "." + name,
           name + "/", "./" + name, std::string(300, 'a'), "sn\\u00e4pshot", name + " "}) {
    expect_refused(seal(replaced(text, name, bad)), "not a plain file name");
  }
  expect_refused(seal(replaced(text, name, "SET")), "not the one that its place demands");
  expect_refused(seal(replaced(text, name, m.files[1].name)), "not the one that its place demands");
}

TEST(Manifest, PlainFileNamesAreNamesOfFiles) {
  EXPECT_TRUE(plain_file_name("a-b_c.1"));
  for (const std::string bad : {"", ".", "..", ".a", "a/b", "/a", "a\\b", "a b", "a\n", "\x7f", "\xc3\xa4"}) {
    EXPECT_FALSE(plain_file_name(bad)) << bad;
  }
  EXPECT_FALSE(plain_file_name(std::string("a\0b", 3)));
  EXPECT_FALSE(plain_file_name(std::string(256, 'a')));
}

TEST(HostileManifest, UnknownFormatsAreToldFromDamage) {
  const std::string text = text_of(example());
  expect_error([&] { decode_manifest(seal(replaced(text, "manifest 1\"", "manifest 2\"")), nullptr, "m"); },
               ErrorCode::UnsupportedFormat, "a newer one");
  expect_refused(seal(replaced(text, "azoth snapshot manifest 1", "other")), "'format'");
}

TEST(HostileManifest, SizeAndDepthAreBounded) {
  expect_refused(seal(std::string(kMaxManifestBytes, ' ') + "\n"), "larger than any manifest");
  expect_refused(seal(std::string(100'000, '[') + "\n"), "nested more deeply");
  std::string deep;
  for (int i = 0; i < 50'000; ++i) deep += "{\"a\":";
  expect_refused(seal(deep + "\n"), "nested more deeply");
  std::string wide = "{\"a\":{";
  for (int i = 0; i < 100'000; ++i) wide += "\"" + std::to_string(i) + "\":0,";
  expect_refused(seal(wide + "\"\":0}}\n"), "wider than");
  std::string many = "\"lineage\": [";
  for (int i = 0; i < 2000; ++i) many += "1,";
  expect_refused(seal(replaced(text_of(example()), "\"lineage\": [", many)), "'lineage'");
}

TEST(Manifest, EachRuleIsCheckedBeforeItIsWritten) {
  const std::vector<std::pair<std::string, std::function<void(Manifest&)>>> rules = {
      {"ordinals begin with 1", [](Manifest& m) { m.ordinal = 0; }},
      {"no timeline", [](Manifest& m) { m.lineage.clear(); }},
      {"not a chain", [](Manifest& m) { m.lineage[0].parent = uuid_of(8); }},
      {"has a fork", [](Manifest& m) { m.lineage[1].fork = 1; }},
      {"begins with the first commit", [](Manifest& m) { m.after_commit = 1; }},
      {"has no base", [](Manifest& m) { m.base_ordinal = 1; }},
      {"counts no commits", [](Manifest& m) { m.commits = 1; }},
      {"do not fit", [](Manifest& m) { m.last_event_commit = 0; }},
      {"behind its last one", [](Manifest& m) { m.last_event_commit = 10; }},
      {"not a digest", [](Manifest& m) { m.state_digest = "abc"; }},
      {"projection twice", [](Manifest& m) { m.projections[1].name = "accounts"; }},
      {"cursor lies behind", [](Manifest& m) { m.projections[0].cursor = 10; }},
      {"a name that none can have", [](Manifest& m) { m.projections[1].name = "a\n"; }},
      {"without tables has a cursor", [](Manifest& m) { m.projections[1].cursor = 3; }},
      {"sums of its content", [](Manifest& m) { m.content_sums = "ee"; }},
      {"one file for each projection",
       [](Manifest& m) {
         m.files.push_back({"", FileKind::Projections, 0, 1, 200, 1, std::string(64, 'd')});
         m.files.back().name = file_name(identity_of(m, m.files.back()));
       }},
      {"names no file", [](Manifest& m) { m.files.clear(); }},
      {"every shard", [](Manifest& m) { m.files.pop_back(); }},
      {"file twice", [](Manifest& m) { m.files[1] = m.files[0]; }},
      {"not in order", [](Manifest& m) { std::swap(m.files[0], m.files[1]); }},
      {"hash is not a hash", [](Manifest& m) { m.files[0].hash = std::string(64, 'X'); }},
      {"kind does not fit", [](Manifest& m) { m.files[0].kind = FileKind::Commits; }},
      {"shard of such a number", [](Manifest& m) { m.files[0].shard = 2; }},
  };
  for (const auto& [part, change] : rules) {
    Manifest m = example();
    change(m);
    expect_error([&] { encode_manifest(m, nullptr); }, ErrorCode::InvalidArgument, part);
  }
  const std::vector<std::pair<std::string, std::function<void(Manifest&)>>> diff_rules = {
      {"at least one commit", [](Manifest& m) { m.after_commit = 9; }},
      {"a lower ordinal", [](Manifest& m) { m.base_ordinal = 3; }},
      {"hash of its base", [](Manifest& m) { m.base_hash = ""; }},
      {"number of commits", [](Manifest& m) { m.commits = 5; }},
      {"range of times", [](Manifest& m) { m.earliest = m.latest + std::chrono::seconds(1); }},
      {"range of events", [](Manifest& m) { m.after_event = 10; }},
  };
  for (const auto& [part, change] : diff_rules) {
    Manifest m = example(SnapshotType::Diff);
    change(m);
    expect_error([&] { encode_manifest(m, nullptr); }, ErrorCode::InvalidArgument, part);
  }
}

TEST(Manifest, DigestsOfEncryptedContentNeedTheKey) {
  const Key key = Key::random();
  const std::string digest(64, 'a');
  EXPECT_EQ(content_digest(digest, nullptr), digest);
  EXPECT_NE(content_digest(digest, &key), digest);
  EXPECT_EQ(content_digest(digest, &key), content_digest(digest, &key));
  EXPECT_EQ(content_digest("", &key), "");
}

}  // namespace
}  // namespace azoth::backup::test
