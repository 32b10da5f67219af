// The commands: what the command line says, and the functions that do it. One file each: cmd_NAME.cc.
//
// Each throws Error, UsageError or OutputClosed; run_reported() turns them into messages and exit codes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "context.h"

namespace azoth::cli {

struct InitArgs {};
Exit run_init(Context& context, const InitArgs& args);

struct ApplyArgs {
  std::string file;  // "-" is standard input
  Durability durability = Durability::Durable;
  std::uint64_t pipeline = 256;
  bool ack = false;
  bool keep_going = false;
};
Exit run_apply(Context& context, const ApplyArgs& args);

struct PutArgs {
  std::string key;
  std::string value;
  std::optional<std::string> if_value;  // what the key must have
  bool if_absent = false;
  std::optional<std::string> command;
  bool hex = false;
};
Exit run_put(Context& context, const PutArgs& args);

struct GetArgs {
  std::string key;
  bool hex = false;
  bool raw = false;
};
Exit run_get(Context& context, const GetArgs& args);

struct DelArgs {
  std::string key;
  std::optional<std::string> if_value;
  std::optional<std::string> command;
  bool hex = false;
};
Exit run_del(Context& context, const DelArgs& args);

struct ScanArgs {
  std::string prefix;
  std::optional<std::string> from;
  std::optional<std::string> to;
  bool reverse = false;
  bool keys_only = false;
  bool hex = false;
  std::uint64_t limit = kNoLimit;
};
Exit run_scan(Context& context, const ScanArgs& args);

struct AppendArgs {
  std::string type;
  std::optional<std::string> payload;         // "-" is standard input
  std::optional<std::string> payload_option;  // the same, given as --payload
  std::vector<std::string> tags;
  std::optional<std::string> metadata;
  std::optional<std::string> time;
  std::vector<std::string> if_none_types;
  std::vector<std::string> if_none_tags;
  std::optional<EventId> after;
  std::vector<std::string> expect;  // TAG=VERSION each
  std::optional<std::string> command;
  bool hex = false;
};
Exit run_append(Context& context, const AppendArgs& args);

struct EventsArgs {
  EventId after = 0;
  std::optional<EventId> to;
  std::optional<std::uint64_t> last;
  std::vector<std::string> types;
  std::vector<std::string> tags;
  bool reverse = false;
  std::optional<std::uint64_t> limit;
  bool follow = false;
};
Exit run_events(Context& context, const EventsArgs& args);

struct SealArgs {};
Exit run_seal(Context& context, const SealArgs& args);

struct UnsealArgs {};
Exit run_unseal(Context& context, const UnsealArgs& args);

struct SequenceNextArgs {
  std::string name;
  std::uint64_t count = 1;
};
Exit run_sequence_next(Context& context, const SequenceNextArgs& args);

struct SequencePeekArgs {
  std::string name;
};
Exit run_sequence_peek(Context& context, const SequencePeekArgs& args);

struct SequenceListArgs {};
Exit run_sequence_list(Context& context, const SequenceListArgs& args);

struct ProjectionAddArgs {
  std::string file;
};
Exit run_projection_add(Context& context, const ProjectionAddArgs& args);

struct ProjectionListArgs {};
Exit run_projection_list(Context& context, const ProjectionListArgs& args);

struct ProjectionRunArgs {
  std::vector<std::string> names;  // all that are declared, if there are none
  ErrorPolicy policy;
  bool follow = false;
};
Exit run_projection_run(Context& context, const ProjectionRunArgs& args);

struct ProjectionRebuildArgs {
  std::string name;
  ErrorPolicy policy;
};
Exit run_projection_rebuild(Context& context, const ProjectionRebuildArgs& args);

struct ProjectionPathArgs {
  std::string name;
};
Exit run_projection_path(Context& context, const ProjectionPathArgs& args);

struct ProjectionDropArgs {
  std::string name;
};
Exit run_projection_drop(Context& context, const ProjectionDropArgs& args);

struct DlqListArgs {
  std::vector<std::string> names;  // all, if there are none
};
Exit run_dlq_list(Context& context, const DlqListArgs& args);

struct DlqShowArgs {
  std::string name;
  EventId event = 0;
};
Exit run_dlq_show(Context& context, const DlqShowArgs& args);

// For retry and drop: either events or all.
struct DlqChooseArgs {
  std::string name;
  std::vector<EventId> events;
  bool all = false;
};
Exit run_dlq_retry(Context& context, const DlqChooseArgs& args);
Exit run_dlq_drop(Context& context, const DlqChooseArgs& args);

struct SqlArgs {
  std::string query;  // "-" is standard input
  std::vector<std::string> values;
  std::vector<std::string> projections;  // all, if there are none
  bool csv = false;
};
Exit run_sql(Context& context, const SqlArgs& args);

struct BackupCreateArgs {
  std::string directory;
  bool incremental = false;
  bool sealed = false;
  bool seal_store = false;
  int level = 3;  // of compression; 0: none
  bool encrypt = false;
  std::optional<std::string> key_file;
  bool no_projections = false;
  std::uint32_t shards = 4;
  unsigned threads = 2;
  std::uint64_t retain_bytes = RetainedSet::kDefaultLimitBytes;
};
Exit run_backup_create(Context& context, const BackupCreateArgs& args);

struct BackupListArgs {
  std::string directory;
  std::optional<std::string> key_file;
};
Exit run_backup_list(Context& context, const BackupListArgs& args);

struct BackupVerifyArgs {
  std::string directory;
  bool no_restore = false;
  std::optional<std::string> scratch;
  std::optional<std::string> key_file;
  unsigned threads = 2;
};
Exit run_backup_verify(Context& context, const BackupVerifyArgs& args);

struct BackupPruneArgs {
  std::string directory;
  std::uint64_t keep = 0;
  std::optional<std::string> key_file;
};
Exit run_backup_prune(Context& context, const BackupPruneArgs& args);

struct BackupRepairArgs {
  std::string directory;
  bool remove_broken = false;
  std::optional<std::string> key_file;
};
Exit run_backup_repair(Context& context, const BackupRepairArgs& args);

struct BackupSetsArgs {};
Exit run_backup_sets(Context& context, const BackupSetsArgs& args);

struct BackupForgetArgs {
  std::string set;  // its directory or its id
};
Exit run_backup_forget(Context& context, const BackupForgetArgs& args);

struct RestoreArgs {
  std::string set;
  std::string target;
  std::optional<EventId> event;  // at most one of these three
  std::optional<CommitSeq> commit;
  std::optional<std::string> time;
  std::optional<std::string> timeline;
  bool sealed = false;
  std::uint64_t advance_sequences = 0;
  bool no_projections = false;
  std::optional<std::string> key_file;
  unsigned threads = 2;
};
Exit run_restore(Context& context, const RestoreArgs& args);

struct KeygenArgs {
  std::string file;
};
Exit run_keygen(Context& context, const KeygenArgs& args);

struct StatusArgs {};
Exit run_status(Context& context, const StatusArgs& args);

struct VerifyArgs {};
Exit run_verify(Context& context, const VerifyArgs& args);

struct RepairArgs {
  bool accept_loss = false;
};
Exit run_repair(Context& context, const RepairArgs& args);

struct DigestArgs {};
Exit run_digest(Context& context, const DigestArgs& args);

struct ExportArgs {
  std::string file = "-";
};
Exit run_export(Context& context, const ExportArgs& args);

}  // namespace azoth::cli
