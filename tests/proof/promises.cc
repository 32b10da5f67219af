#include "promises.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace azoth::proof {

namespace {

template <class... Parts>
std::string words(const Parts&... parts) {
  std::ostringstream text;
  const char* between = "";
  ((text << between << parts, between = " "), ...);
  return text.str();
}

}  // namespace

void Promises::apply_order(std::string_view mark) {
  std::istringstream words{std::string(mark)};
  std::string what;
  CommitSeq commit = 0;
  int step = 0;
  if (!(words >> what >> commit >> step) || what != "sequenced") return;
  order[commit] = step;
  sequenced = std::max(sequenced, commit);
}

void Promises::apply(std::string_view mark) {
  std::istringstream words{std::string(mark)};
  std::string what;
  std::string name;
  std::uint64_t number = 0;
  std::uint64_t other = 0;
  words >> what;
  if (what == "begins") {
    begun = true;
  } else if (what == "created") {
    begun = created = true;
  } else if (what == "sequenced") {
    apply_order(mark);
  } else if (what == "durable") {
    words >> number;
    durable = std::max(durable, number);
  } else if (what == "opened") {  // what is there now is all there ever was, and is there for good
    words >> number >> other;
    order.erase(order.upper_bound(number), order.end());
    durable = sequenced = number;
    seal = other != 0 ? Seal::Sealed : Seal::Open;
  } else if (what == "sequence") {
    words >> name >> number;
    sequences[name] = std::max(sequences[name], number);
  } else if (what == "command") {
    words >> name >> number;
    commands[name] = number;
  } else if (what == "bulk") {
    may_have_dead_damage = true;  // LMDB has a bulk transaction before the journal is told
  } else if (what == "seal") {
    words >> number;
    seal = static_cast<Seal>(number);
  } else if (what == "damaged") {
    words >> kept;
    repair = Repair::Damaged;
    may_have_dead_damage = true;
    order.erase(order.upper_bound(kept), order.end());
    durable = sequenced = kept;
  } else if (what == "repaired") {
    repair = Repair::Repaired;
  } else if (what == "projects") {
    has_projection = true;
    words >> projection_version;
  } else if (what == "projected") {
    projected = true;
  } else if (what == "backs-up") {
    has_set = true;
  } else if (what == "snapshot") {
    words >> number >> other;
    snapshots[number] = other;
  } else if (what == "purges") {
    words >> number;
    auto end = snapshots.lower_bound(number);
    may_be_gone.insert(snapshots.begin(), end);
    snapshots.erase(snapshots.begin(), end);
  } else if (what == "restores") {
    restoring = true;
  } else if (what == "restored") {
    words >> number;
    restored = number;
  } else {
    throw std::runtime_error("a mark that nobody understands: " + std::string(mark));
  }
}

namespace mark {

std::string begins() { return "begins"; }
std::string created() { return "created"; }
std::string sequenced(CommitSeq commit, int step) { return words("sequenced", commit, step); }
std::string durable(CommitSeq commit) { return words("durable", commit); }
std::string opened(CommitSeq last, bool sealed) { return words("opened", last, sealed ? 1 : 0); }
std::string sequence(std::string_view name, std::uint64_t next) { return words("sequence", name, next); }
std::string command(std::string_view id, CommitSeq commit) { return words("command", id, commit); }
std::string bulk() { return "bulk"; }
std::string seal(Promises::Seal state) { return words("seal", static_cast<int>(state)); }
std::string damaged(CommitSeq kept) { return words("damaged", kept); }
std::string repaired() { return "repaired"; }
std::string projects(std::uint32_t version) { return words("projects", version); }
std::string projected() { return "projected"; }
std::string backs_up() { return "backs-up"; }
std::string snapshot(std::uint64_t ordinal, CommitSeq commit) { return words("snapshot", ordinal, commit); }
std::string purges(std::uint64_t below) { return words("purges", below); }
std::string restores() { return "restores"; }
std::string restored(CommitSeq commit) { return words("restored", commit); }

}  // namespace mark

}  // namespace azoth::proof
