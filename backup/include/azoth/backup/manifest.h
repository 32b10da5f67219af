// What a manifest says of a snapshot: where in which history it ends, what it consists of, and how to tell that its
// files are those that were written.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"
#include "azoth/core/timeline.h"

namespace azoth::backup {

enum class SnapshotType : std::uint8_t { Full = 1, Diff = 2 };

// What the records of a file are (docs/format.md, "Records"). A full has State, Events and System, and Projections, one
// to a file, if the store has any; a diff has Commits.
enum class FileKind : std::uint8_t { State = 1, Events = 2, System = 3, Commits = 4, Projections = 5 };

inline constexpr std::array kFileKinds = {FileKind::State, FileKind::Events, FileKind::System, FileKind::Commits,
                                          FileKind::Projections};

std::string_view type_name(SnapshotType type);  // "full", "diff"
std::string_view kind_name(FileKind kind);      // "state", "events", ...

struct ManifestFile {
  std::string name;
  FileKind kind{};
  std::uint32_t shard = 0;   // from 0
  std::uint32_t shards = 0;  // how many files of this kind the snapshot has
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::string hash;  // BLAKE2b-256 of the file, hexadecimal

  friend bool operator==(const ManifestFile&, const ManifestFile&) = default;
};

struct ProjectionCursor {
  std::string name;
  bool tables = false;  // the snapshot has its tables; else only its declaration, and what follows says nothing
  EventId cursor = 0;
  std::uint64_t version = 0;
  std::string fingerprint = {};

  friend bool operator==(const ProjectionCursor&, const ProjectionCursor&) = default;
};

struct Manifest {
  // The set says these itself; what publish() is given here does not count.
  Uuid set_id;
  std::uint64_t ordinal = 0;
  SnapshotType type{};
  std::string base_hash;  // of a diff: the hash of its base's manifest
  std::string azoth_version;
  int compression_level = 0;  // of zstd, 0: not compressed
  std::string key_id;         // of the key that it is encrypted with; empty: not encrypted
  std::vector<ManifestFile> files;

  Uuid store_id;                   // the set's
  Timestamp created{};             // when the store was
  Lineage lineage;                 // the timeline that the store was on, and its ancestors
  std::uint64_t base_ordinal = 0;  // of a diff: the snapshot that it continues; 0 of a full

  // What the chain has behind this snapshot: everything through last_commit and last_event. A diff brings the commits
  // and events (after, last]; of a full `after` is 0.
  CommitSeq after_commit = 0;
  CommitSeq last_commit = 0;
  EventId after_event = 0;
  EventId last_event = 0;
  CommitSeq last_event_commit = 0;  // the commit of the last event, 0 if there is none
  // The times of the commits that it brings lie in here. Of a full, `latest` alone counts.
  Timestamp earliest{};
  Timestamp latest{};
  Timestamp taken{};

  std::uint64_t state_rows = 0;  // after it
  std::uint64_t commits = 0;     // that it brings; 0 of a full
  std::uint64_t operations = 0;  // that it brings; 0 of a full
  // Of the content after it. Of an encrypted snapshot these are content_digest() of the digests, so that nobody can try
  // out by them what the content is. Empty: not computed.
  std::string state_digest;
  std::string events_digest;
  std::string content_sums;    // the sums of the store's row checksums, state then events: 32 digits, or derived likewise
  bool sealed = false;         // the history ends with it
  std::vector<ProjectionCursor> projections;

  friend bool operator==(const Manifest&, const Manifest&) = default;

  const Uuid& timeline() const { return lineage.front().id; }  // a checked manifest has one
};

}  // namespace azoth::backup
