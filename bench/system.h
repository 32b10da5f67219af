// A system that is measured: Azoth, a reference library, or the bare device. One file each in systems/.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace azoth {
class Db;
}

namespace azoth::bench {

// One transaction. Every system writes the same rows for it: the key with its value, an event (type, tag, payload)
// under the next number, and an index row (tag, number) if there is a tag.
struct Change {
  std::string_view key;
  std::string_view value;
  std::string_view type = {};  // empty: no event
  std::string_view tag = {};   // empty: none
  std::string_view payload = {};
};

// What a commit survives when it has returned.
enum class Safety {
  PowerCut,      // synced to the device
  ProcessDeath,  // handed to the operating system
  Nothing,       // in its place in the order, in memory
};

std::string_view safety_name(Safety safety);

// One thread's access to a system.
class Client {
 public:
  virtual ~Client() = default;
  // Returns when the change is as safe as the system was opened for. Throws what the system throws.
  virtual void commit(const Change& change) = 0;

  // Several in flight: start() returns at once where the system can do that, finish_oldest() waits for the first one
  // that was started and not finished.
  virtual void start(const Change& change) { commit(change); }
  virtual void finish_oldest() {}
};

// One thread's reading, each key in a snapshot of its own.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual void read(std::string_view key) = 0;  // throws NotFound if the key has no value
};

void use_value(std::string_view value);  // as far as the compiler knows
[[noreturn]] void throw_missing_key();

class System {
 public:
  virtual ~System() = default;
  virtual std::unique_ptr<Client> client() = 0;
  virtual std::unique_ptr<Reader> reader();
  // Ends the work that goes on in the background, so that it does not disturb the next system.
  virtual void settle() {}
  // How often what is gathered in memory has been moved to where it stays. May be slow.
  virtual std::uint64_t background_writes() { return 0; }
  // Gives each of the first `keys` keys a value, quickly and in order, before anything is measured.
  virtual void fill(std::uint64_t keys, std::size_t value_size);
  // Gives the log events, each with one of so many tags.
  virtual void fill_log(std::uint64_t events, std::uint64_t tags, std::size_t payload_size);
};

// How to make one in a directory of its own, which is empty, or which one of its kind has left.
struct SystemKind {
  std::string name;
  Safety safety;
  std::function<std::unique_ptr<System>(const std::filesystem::path& directory)> open;
  std::string missing = {};  // why it cannot be opened; empty if it can
};

// How a change is made with Azoth.
struct AzothWay {
  enum class Kind { Submit, Transaction, WriteTxn, ExpectedVersion, NoEvent };
  Kind kind = Kind::Submit;
  std::string name = "azoth";
  std::chrono::nanoseconds thinking{0};  // of a transaction's check, on the processor
};

SystemKind azoth_system(Safety safety, const AzothWay& way = {});
// The same on a store that is open already, and stays so.
std::unique_ptr<System> azoth_on(Db& db, Safety safety);
// One pwrite of as many bytes as Azoth's journal takes for a change, and one fdatasync, in a file that was filled with
// zeros.
SystemKind raw_device();
// PowerCut: the default mode; ProcessDeath: MDB_NOSYNC. Not indexed: the change's tag is in no row.
SystemKind bare_lmdb(Safety safety, bool indexed = true);
// LMDB in its default mode, with one transaction for all changes that clients wait for.
SystemKind lmdb_group_commit();
// WAL with synchronous=FULL; ProcessDeath: synchronous=NORMAL, which syncs when the log is moved into the database.
SystemKind sqlite_system(Safety safety);
// One WriteBatch a change, with WriteOptions::sync or without.
SystemKind rocksdb_system(Safety safety);

}  // namespace azoth::bench
