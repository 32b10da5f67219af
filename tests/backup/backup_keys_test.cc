// Encrypted backups of real content: what they show, and what others can do to them.
//
// Covers of the defects that other stores had: plain text of a part of the content in an encrypted backup (E4), plain
// text that a restore leaves beside it or in a directory for temporary files (E5, E14), encryption that does nothing
// (E12).
#include "azoth/projection/declarations.h"
#include "backup_support.h"
#include "set_files.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kProjection =
    "-- azoth:projection rumours version 1\nCREATE TABLE rumours (secretcolumn TEXT);\n"
    "-- azoth:on heard\nINSERT INTO rumours VALUES ('projected ' || :what);\n";

class BackupKeys : public BackupTest {
 protected:
  BackupKeys() {
    Declarations(store_path()).add(kProjection, "rumours.sql");
    fill("one");
    project();
  }

  void fill(const std::string& which) {
    commit({{{"secretkey" + which, "secretvalue" + which}},
            {{.type = "heard",
              .tags = {"secrettag:" + which},
              .payload = "{\"what\":\"secretevent\"}",
              .metadata = "secretmetadata"}}});
    store_->next_sequence("secretsequence");
  }
  void project() {
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    projector.add(Declarations(store_path()).load("rumours"));
    projector.catch_up("rumours");
  }
  BackupReport encrypted(bool incremental = false, int level = 3) {
    return back_up({.incremental = incremental, .compression_level = level, .key = &key_});
  }
  std::string text_of_all(const Path& directory) const {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) all += get_file(FileSystem::posix(), entry.path()) + entry.path().string();
    }
    return all;
  }
  std::string get(const std::string& name) const { return get_file(FileSystem::posix(), set_path() / name); }
  void put_back(const std::string& name, const std::string& bytes) const {
    replace_file(FileSystem::posix(), set_path() / name, bytes);
  }
  std::string state_file(int ordinal) const {
    return "snapshot_0000000000000000000" + std::to_string(ordinal) + "_full_state_0-of-1.azs";
  }

  Key key_ = Key::random();
  Key other_ = Key::random();
};

TEST_F(BackupKeys, WhatIsEncryptedIsRestored) {
  encrypted();
  fill("two");
  encrypted(true);
  const RestoreReport report = restore({.key = &key_});
  EXPECT_THAT(report.projections, testing::ElementsAre("rumours"));
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  EXPECT_TRUE(verify({.key = &key_}).ok());
  for (const SnapshotInfo& info : list(&key_)) EXPECT_TRUE(info.authenticated);
}

// Without compression, so that it would be found.
TEST_F(BackupKeys, NothingOfTheContentIsInTheSetOrLeftBeside) {
  encrypted(false, 0);
  fill("two");
  encrypted(true, 0);
  const std::set<std::string> in_store = names_in(store_path() / "projections");
  restore({.key = &key_});
  std::filesystem::remove_all(target());
  verify({.scratch = targets(), .key = &key_});
  EXPECT_THAT(text_of_all(set_path()), Not(HasSubstr("secret")));
  EXPECT_THAT(text_of_all(set_path()), HasSubstr("rumours"));  // manifests say how projections are called
  EXPECT_EQ(text_of_all(targets()), "");
  EXPECT_EQ(names_in(store_path() / "projections"), in_store);
  EXPECT_THAT(names_in(dir_.path()), testing::ElementsAre("restored", "set", "store"));
  for (const std::string& name : in_store) EXPECT_THAT(name, Not(HasSubstr("copy")));
  const BackupReport plain =
      backup::back_up(*store_, store_path(), nullptr, dir_.path() / "plain", {.compression_level = 0});
  for (const std::string what : {"secretkey", "secretvalue", "secrettag", "secretevent", "secretmetadata",
                                 "secretsequence", "projected secretevent"}) {
    EXPECT_THAT(text_of_all(dir_.path() / "plain"), HasSubstr(what));  // it would have been found
  }
}

// Of the same content: whoever guesses it learns from the manifest nothing about whether he is right.
TEST_F(BackupKeys, DigestsOfAnEncryptedSnapshotConfirmNoGuess) {
  const Manifest encrypted = *this->encrypted().snapshot.manifest;
  const Manifest plain = *backup::back_up(*store_, store_path(), nullptr, dir_.path() / "plain").snapshot.manifest;
  EXPECT_EQ(encrypted.last_commit, plain.last_commit);
  EXPECT_EQ(plain.content_sums.size(), 32u);
  EXPECT_EQ(content_digest_of(plain.state_digest, plain.events_digest), store_->digest());
  EXPECT_NE(encrypted.state_digest, plain.state_digest);
  EXPECT_NE(encrypted.events_digest, plain.events_digest);
  EXPECT_NE(encrypted.content_sums, plain.content_sums);
  EXPECT_FALSE(encrypted.state_digest.empty());
  EXPECT_FALSE(encrypted.content_sums.empty());
  const Manifest other =
      *backup::back_up(*store_, store_path(), nullptr, dir_.path() / "other", {.key = &other_}).snapshot.manifest;
  EXPECT_NE(encrypted.state_digest, other.state_digest);
  EXPECT_NE(encrypted.content_sums, other.content_sums);
}

TEST_F(BackupKeys, WithoutTheRightKeyNothingIsTakenRestoredOrVerified) {
  encrypted();
  const std::set<std::string> before = names_in(set_path());
  fill("two");
  for (const Key* key : {static_cast<const Key*>(nullptr), static_cast<const Key*>(&other_)}) {
    const std::string why = "give the key file";
    expect_error([&] { restore({.key = key}); }, ErrorCode::InvalidArgument, why);
    expect_error([&] { verify({.key = key}); }, ErrorCode::InvalidArgument, why);
    for (const bool incremental : {false, true}) {
      for (const SealMode seal : {SealMode::None, SealMode::Store}) {
        expect_error([&] { back_up({.incremental = incremental, .seal = seal, .key = key}); },
                     ErrorCode::InvalidArgument, why);
      }
    }
  }
  expect_usable();  // not sealed before it was known that there is no key
  EXPECT_EQ(names_in(set_path()), before);
  expect_no_target();
}

TEST_F(BackupKeys, AKeyForASetThatHasNoneIsRefused) {
  back_up();
  expect_error([&] { restore({.key = &key_}); }, ErrorCode::InvalidArgument, "is not encrypted");
  expect_error([&] { encrypted(); }, ErrorCode::InvalidArgument, "is not encrypted");
}

TEST_F(BackupKeys, FilesAndManifestsOfAnotherSnapshotAreRefused) {
  encrypted();
  fill("two");
  encrypted();
  const std::string first = get(state_file(1)), second = get(state_file(2));
  const std::string first_manifest = get(SetFiles::manifest_name(1)), second_manifest = get(SetFiles::manifest_name(2));
  put_back(state_file(2), first);
  expect_error([&] { restore({.key = &key_}); }, ErrorCode::Corruption, state_file(2));
  put_back(state_file(2), second);
  put_back(SetFiles::manifest_name(2), first_manifest);  // rolled back
  expect_error([&] { restore({.key = &key_}); }, ErrorCode::Corruption, "it is the manifest of snapshot 1");
  std::string text = second_manifest;
  text.replace(text.find("\"ordinal\": 2"), 12, "\"ordinal\": 3");
  put_back(SetFiles::manifest_name(2), text);
  expect_error([&] { restore({.key = &key_}); }, ErrorCode::Corruption, SetFiles::manifest_name(2));
  put_back(SetFiles::manifest_name(2), second_manifest);
  EXPECT_NO_THROW(restore({.key = &key_}));
}

// A set that is not encrypted put in its place: whoever has a key does not take it.
TEST_F(BackupKeys, APlainSetInThePlaceOfAnEncryptedOneIsRefused) {
  encrypted();
  std::filesystem::remove_all(set_path());
  back_up();
  expect_error([&] { restore({.key = &key_}); }, ErrorCode::InvalidArgument, "is not encrypted");
  expect_error([&] { verify({.key = &key_}); }, ErrorCode::InvalidArgument, "is not encrypted");
}

}  // namespace
}  // namespace azoth::backup::test
