#include "subject.h"

#include <cstdlib>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "azoth/core/limits.h"
#include "support/proof.h"
#include "support/seed.h"

namespace azoth::proof {

namespace {

constexpr int kSteps = 240;

WriteSet step(int number) {
  WriteSet set;
  const std::string text = std::to_string(number);
  set.put("key/" + std::to_string(number * 7 % 90),
          text + std::string(static_cast<std::size_t>(number % 40) * 20, 'v'));
  if (number % 5 == 0) set.put("wide/" + text + std::string(300, 'k'), text);
  if (number % 30 == 0) set.put("large/" + text, std::string(9000 + static_cast<std::size_t>(number), 'L'));
  if (number % 9 == 0 && number > 9) set.del("wide/" + std::to_string(number - 9) + std::string(300, 'k'));
  set.append({.type = number % 3 == 0 ? "deposited" : "noted",
              .tags = {"account:" + std::to_string(number % 7), "all"},
              .payload = R"({"account":"a)" + std::to_string(number % 7) + R"(","amount":)" + text + "}"});
  return set;
}

void run_steps(Db& db, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    SubmitOptions options;
    const std::string command = "command-" + std::to_string(i);
    if (i % 2 == 0) options.command = Command{.id = command};
    db.submit(step(i), {}, options).value().wait();
    if (i % 16 == 0) db.next_sequence("numbers");
    if (i % 60 == 30) db.checkpoint();  // so that pages are freed, and used again
  }
}

void run_bulk(Db& db) {
  WriteSet set;
  for (int i = 0; i < 5; ++i) set.put("bulk/" + std::to_string(i), std::string(15000, static_cast<char>('a' + i)));
  set.append({.type = "imported", .tags = {"all"}, .payload = "{}"});
  db.submit(std::move(set)).value().wait();
}

}  // namespace

Options small_options() {
  Options options;
  options.segment_bytes = limits::kMinSegmentBytes;
  options.delta_bytes = std::size_t{1} << 20;
  options.delta_age = std::chrono::hours{1};
  options.sync_interval = std::chrono::hours{1};
  options.map_bytes = std::size_t{64} << 20;
  options.max_readers = 32;
  options.timeout = std::chrono::seconds{15};
  return options;
}

std::string make_subject(const std::filesystem::path& directory, Ending ending,
                         const std::function<void(Db&)>& half_way, const std::function<void(Db&)>& at_end) {
  Db db = Db::create(directory, small_options());
  run_steps(db, 0, kSteps / 2);
  db.checkpoint();
  half_way(db);
  run_bulk(db);
  run_steps(db, kSteps / 2, kSteps);
  db.checkpoint();
  std::string history = Content::moment_of(db);
  for (int i = kSteps; ending == Ending::Killed && i < kSteps + 20; ++i) {
    if (i % 16 == 0) {
      db.next_sequence("numbers");
      history += Content::moment_of(db);
    }
    db.submit(step(i)).value().wait();
    history += Content::moment_of(db);
  }
  at_end(db);
  return history;
}

std::string Content::of(Db& db) {
  std::ostringstream text;
  text << moment_of(db) << ' ' << db.meta().store_id.text() << ' ' << db.meta().timeline.text();
  for (const SequenceInfo& sequence : db.sequences()) text << ' ' << sequence.name << '=' << sequence.next;
  std::uint64_t tagged = 0;
  const ReadTxn snapshot = db.read();
  for (const EventView& event : snapshot.events({.tags = {"account:3"}})) tagged = tagged * 31 + event.id();
  text << ' ' << tagged;
  return text.str();
}

std::string Content::moment_of(Db& db) {
  return db.digest() + " " + std::to_string(db.meta().last_commit) + " " + std::to_string(db.meta().last_event) + "\n";
}

Outcome Content::compare(Db& db) const {
  if (of(db) == all) return Outcome::Same;
  const std::string moment = moment_of(db);
  if (all.starts_with(moment)) return Outcome::Wrong;  // at its last commit nothing else may differ
  return history.find(moment) != std::string::npos ? Outcome::Shorter : Outcome::Wrong;
}

Outcome Content::compare_restored(Db& db) const {
  const auto words_of = [](const std::string& text) {
    constexpr std::size_t kTimeline = 4;
    std::istringstream stream(text);
    std::vector<std::string> words(std::istream_iterator<std::string>(stream), {});
    words.at(kTimeline).clear();
    return words;
  };
  if (words_of(of(db)) == words_of(all)) return Outcome::Same;
  const std::string moment = moment_of(db);
  return !all.starts_with(moment) && history.find(moment) != std::string::npos ? Outcome::Shorter : Outcome::Wrong;
}

Outcome judge_reading(const std::filesystem::path& directory, const Content& content) {
  try {
    Db db = Db::open_read_only(directory, small_options());
    return db.verify().ok() ? content.compare(db) : Outcome::Found;
  } catch (const Error&) {
    return Outcome::Found;
  }
}

Outcome judge_writing(const std::filesystem::path& directory, const Content& content) {
  std::optional<Db> db;
  try {
    db.emplace(Db::open(directory, small_options()));
  } catch (const Error&) {
    return Outcome::Found;
  }
  try {
    return db->verify().ok() ? content.compare(*db) : Outcome::Late;
  } catch (const Error&) {
    return Outcome::Late;
  }
}

Outcome judge_backing_up(const std::filesystem::path& directory, const std::filesystem::path& scratch,
                         const Content& content) {
  const std::filesystem::path set = scratch / "set";
  const std::filesystem::path target = scratch / "target";
  std::filesystem::remove_all(set);
  std::filesystem::remove_all(target);
  try {
    Db db = Db::open_read_only(directory, small_options());
    db.backup(set, {.threads = 1});
  } catch (const Error&) {
    return Outcome::Late;  // what it had registered may have been taken back
  }
  try {
    Db::restore(set, target, {.threads = 1, .store = small_options()});
    Db db = Db::open_read_only(target, small_options());
    return content.compare_restored(db);
  } catch (const Error&) {
    return Outcome::Wrong;
  }
}

std::uint64_t mutations(std::uint64_t whole) {
  return test::share_of(whole) * (std::getenv("AZOTH_TEST_LONG") != nullptr ? 10 : 1);
}

std::uint64_t first_mutation() {
  return std::getenv("AZOTH_TEST_SEED") != nullptr ? test::test_seed() : std::uint64_t{1};
}

}  // namespace azoth::proof
