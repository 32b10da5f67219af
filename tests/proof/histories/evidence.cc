#include "evidence.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "azoth/backup/snapshot_set.h"
#include "azoth/db.h"
#include "life.h"

namespace azoth::proof::histories {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t more) {
  return (hash ^ (more + 0x9E3779B97F4A7C15ull + (hash << 6) + (hash >> 2))) * 0xD6E8FEB86659FD93ull;
}

StoredEvent parse(const EventView& event, std::uint64_t chain_before) {
  StoredEvent stored{.id = static_cast<Word>(event.id()), .commit = static_cast<Word>(event.commit_seq())};
  if (event.type() == kTxnType) {
    TxnPayload payload = parse_txn_payload(event.payload());
    stored.txn = payload.txn;
    stored.appends = std::move(payload.appends);
  } else {
    stored.appends = {{ListId::parse(*event.tags().begin()), parse_values(event.payload()).at(0)}};
  }
  stored.chain =
      mix(mix(mix(chain_before, event.id()), event.commit_seq()), std::hash<std::string_view>{}(event.body()));
  return stored;
}

// The lists that are keys, from the state.
Lists read_keys(const ReadTxn& snapshot) {
  Lists lists;
  for (const auto& [key, value] : snapshot.scan()) {
    if (!key.starts_with(kPaddingPrefix)) lists.emplace(ListId::parse(key), parse_values(value));
  }
  return lists;
}

// A list that is a tag, from the index of tags.
Values read_tag(const ReadTxn& snapshot, ListId list) {
  Values values;
  for (const EventView& event : snapshot.events({.tags = {list.name()}}))
    values.push_back(parse_values(event.payload()).at(0));
  return values;
}

Content content_of(Db& db, std::vector<StoredEvent>* events = nullptr) {
  const ReadTxn snapshot = db.read();
  Content content{.last_commit = static_cast<Word>(snapshot.commit_seq()),
                  .last_event = static_cast<Word>(snapshot.last_event()),
                  .state = hash_of_keys(read_keys(snapshot))};
  for (const EventView& event : snapshot.events()) {
    StoredEvent stored = parse(event, content.chain);
    content.chain = stored.chain;
    if (events != nullptr) events->push_back(std::move(stored));
  }
  return content;
}

TallyAt read_tally(Db& db) {
  TallyAt tally{.cursor = static_cast<Word>(db.projections().status(kTally).cursor), .hash = 0};
  for (const SqlRow& row : db.sql(kTally, "SELECT list, count, sum FROM tally ORDER BY list")) {
    for (int column = 0; column < 3; ++column)
      tally.hash = mix(tally.hash, static_cast<std::uint64_t>(row.int64(column)));
  }
  return tally;
}

Backup restore(const Places& places, const backup::Manifest& manifest) {
  Backup backup{.ordinal = static_cast<Word>(manifest.ordinal),
                .last_commit = static_cast<Word>(manifest.last_commit),
                .last_event = static_cast<Word>(manifest.last_event),
                .incremental = manifest.type == backup::SnapshotType::Diff};
  const std::filesystem::path target = places.root / "restored";
  std::filesystem::remove_all(target);
  try {
    Db::restore(places.set(), target,
                {.target = backup::RestoreTarget::commit(manifest.last_commit), .store = store_options(0)});
    Db db = Db::open(target, store_options(0));
    backup.restored = content_of(db);
    db.projections().add(tally());
    backup.restored.tally = read_tally(db);
  } catch (const Error& error) {
    backup.failure = error.what();
  }
  std::filesystem::remove_all(target);
  return backup;
}

void gather_backups(const Places& places, Evidence& evidence) {
  if (!std::filesystem::exists(places.set())) return;
  const auto set = backup::SnapshotSet::open(places.set(), {.read_only = true});
  for (const backup::SnapshotInfo& info : set.list()) {
    if (info.state == backup::SnapshotState::Unfinished) continue;  // its process was killed
    if (info.state == backup::SnapshotState::Broken) {
      evidence.problems.push_back("snapshot " + std::to_string(info.ordinal) + " is broken: " + info.why);
      continue;
    }
    evidence.backups.push_back(restore(places, *info.manifest));
  }
}

// The highest number behind this prefix; what was killed at once has left no file.
Word highest(const Places& places, const std::string& prefix) {
  Word highest = 0;
  for (const auto& file : std::filesystem::directory_iterator(places.records())) {
    const std::string name = file.path().filename();
    if (name.starts_with(prefix))
      highest = std::max(highest, static_cast<Word>(std::stoul(name.substr(prefix.size()))));
  }
  return highest;
}

void gather_lives(const Places& places, Evidence& evidence) {
  const Word last = highest(places, "life-");
  for (Word life = 1; life <= last; ++life) {
    Life lived{.number = life, .notes = read_notes(places.notes(life))};
    if (lived.notes.empty()) continue;  // it was killed before it had opened the store
    const std::vector<Word>& opened = lived.notes.front().numbers;
    lived.begun = opened.at(0);
    lived.opened = opened.at(1);
    lived.last_commit = opened.at(2);
    lived.last_event = opened.at(3);
    if (opened.at(4) != 0) lived.sealed = opened.at(5);
    evidence.lives.push_back(std::move(lived));
    for (Word client = 1; client <= kClients; ++client) {
      std::vector<Attempt> attempts = read_attempts(places.attempts(life, client), life, client);
      std::move(attempts.begin(), attempts.end(), std::back_inserter(evidence.attempts));
    }
  }
}

void gather_beside(const Places& places, Evidence& evidence) {
  const Word last = highest(places, "beside-");
  for (Word process = 1; process <= last; ++process) {
    for (Word client = 1; client <= kClientsBeside; ++client) {
      std::vector<Attempt> attempts = read_attempts(places.attempts_beside(process, client), 0, kClients + client);
      std::move(attempts.begin(), attempts.end(), std::back_inserter(evidence.beside));
    }
  }
}

void gather_store(const Places& places, Evidence& evidence) {
  Db db = Db::open(places.store(), store_options(0));
  evidence.content = content_of(db, &evidence.events);
  const ReadTxn snapshot = db.read();
  evidence.lists = read_keys(snapshot);
  for (const StoredEvent& event : evidence.events) {
    if (event.txn != 0) continue;
    const auto [list, is_new] = evidence.lists.try_emplace(event.appends.at(0).list);
    if (is_new) list->second = read_tag(snapshot, list->first);
  }
  db.projections().add(tally());
  const ProjectionStatus status = db.projections().status(kTally);
  if (status.rebuilt_because) evidence.problems.push_back("the projection is built anew: " + *status.rebuilt_because);
  db.projections().catch_up(kTally);
  evidence.content.tally = read_tally(db);
  const VerifyReport report = db.verify();
  evidence.problems.insert(evidence.problems.end(), report.problems.begin(), report.problems.end());
}

}  // namespace

std::uint64_t hash_of_keys(const Lists& lists) {
  std::uint64_t hash = 0;
  for (const auto& [list, values] : lists) {
    if (!list.is_key()) continue;
    hash = mix(mix(hash, list.word), values.size());
    for (Word value : values) hash = mix(hash, value);
  }
  return hash;
}

std::uint64_t hash_of_tally(const Lists& lists) {
  std::uint64_t hash = 0;
  for (const auto& [list, values] : lists) {
    std::uint64_t sum = 0;
    for (Word value : values) sum += value;
    hash = mix(mix(mix(hash, list.word), values.size()), sum);
  }
  return hash;
}

Evidence gather(const Places& places) {
  Evidence evidence;
  gather_lives(places, evidence);
  gather_beside(places, evidence);
  gather_store(places, evidence);
  gather_backups(places, evidence);
  return evidence;
}

}  // namespace azoth::proof::histories
