// The verdict on a run, from its evidence alone: nothing of the store is asked any more.
//
// What is checked, by the name that a finding carries:
//   "store"           the store's own verification, and what could not be read
//   "gap"             ids of events without a gap, commits in their order
//   "torn"            each commit is all that one transaction asked for, and nothing else
//   "twice"           no transaction is there twice
//   "fold"            the lists are what the events say, read as keys, by the state, and by tags
//   "lost"            nothing acknowledged at Written or above, or closed or flushed behind, is missing
//   "hole"            what a kill took is a suffix of the commits
//   "number"          a transaction is the commit that its client was told
//   "aborted"         nothing is there of which a client was told that it is not
//   "taken back"      nothing that was read at Written or above was taken back by a kill
//   "pause"           nobody commits while writing is paused or sealed
//   "seal"            a seal outlives a kill
//   "backup"          a snapshot is a prefix of the log with its state, and as long as it was promised to be
//   "projection"      its tables are the fold of the log up to its cursor, in the store and in what was restored
//   "survivors: ..."  an anomaly (support/serializability.h) in the history of everything that outlived the kills
//   "life N: ..."     the same in that of one life, with what its kill took, when that is more than nothing
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evidence.h"

namespace azoth::proof::histories {

struct Finding {
  std::string name;
  std::string text;
};

struct Verdict {
  std::vector<Finding> findings;  // the first of each name; the others are counted
  std::map<std::string, std::size_t> counted;

  // What there was to judge.
  std::size_t transactions = 0;
  std::size_t writes = 0;  // that are in the log
  std::size_t reads = 0;   // that only read, rejections by checks included
  std::size_t reads_beside = 0;
  std::size_t aborted = 0;
  std::size_t unknown = 0;          // cut off by a kill, and not asked again
  std::size_t unknown_there = 0;    // ... of which the log has so many
  std::size_t lost = 0;             // acknowledged as Applied, and taken by a kill
  std::size_t asked_again = 0;      // attempts at commands
  std::size_t already_applied = 0;  // ... that had been carried out
  std::size_t edges = 0;
  std::size_t replayed_reads = 0;
  std::size_t lives_with_losses = 0;
  std::size_t pauses = 0, seals = 0, flushes = 0;
  std::size_t fulls = 0, incrementals = 0;

  bool clean() const { return findings.empty(); }
  bool has(const std::string& name) const { return counted.contains(name); }
  std::string text() const;     // of the findings
  std::string figures() const;  // of what there was
};

Verdict judge(const Evidence& evidence);

}  // namespace azoth::proof::histories
