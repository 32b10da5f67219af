// A client: one thread that transacts in all the ways there are, and writes down what it asks for and what it is told.
// In the next life of the process it goes on: first it asks again for what it was not told of its commands.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <vector>

#include "azoth/db.h"
#include "record.h"
#include "shared.h"

namespace azoth::proof::histories {

class Client {
 public:
  struct Setting {
    Word life = 0;
    Word client = 0;
    std::uint64_t seed = 0;
    std::size_t bulk_bytes = 0;  // what makes a transaction a bulk one
  };

  Client(Db& db, Shared& shared, const Places& places, const Setting& setting);

  // Until its life is to end.
  void run();

 private:
  struct InFlight {
    Word txn;
    Ticket ticket;
    Durability level;
  };
  // The lists that are tags, as a snapshot shows them, and the conditions that they stay so.
  struct Tags {
    std::map<ListId, Values> lists;
    std::vector<Condition> conditions;
  };

  void transact();
  void by_locks(bool wait);
  void by_check();
  void by_conditions(bool wait);
  void exclusively();
  void by_reading();

  void begin(std::vector<Wish> wishes, bool command, const std::function<void()>& body);
  void ask_again(const Attempt& before);
  bool refused(const std::function<void()>& body);
  void execute(bool wait);
  void expect_a_repeat(Transaction& transaction, CommitSeq commit);
  void end(const Outcome<Ticket>& outcome, Durability level, bool wait);
  void answer(Answer answer);
  void land(std::size_t most_in_flight);

  Transaction transaction(const Tags& tags);
  Tags see_tags();
  Tags see_tags(const ReadTxn& snapshot);
  template <class Writer>
  void do_all(Writer& writer, Tags& tags);
  template <class Writer>
  void append_event(Writer& writer, Tags& tags, const Wish& wish);

  std::vector<Wish> wishes(bool only_reads = false);
  Durability any_level();
  bool one_in(std::uint64_t n) { return random_() % n == 0; }
  bool stopped() const { return shared_.stopped_life == setting_.life; }
  std::string command_id() const { return "command " + std::to_string(current_.txn); }
  std::string padding() const { return std::string(kPaddingPrefix) + std::to_string(setting_.client); }

  Db& db_;
  Shared& shared_;
  const Setting setting_;
  std::mt19937_64 random_;
  const std::vector<Attempt> before_;  // of its last life
  RecordFile file_;
  Attempt current_;
  std::vector<Op> ops_;  // of current_, as far as it was done
  bool bulk_ = false;    // current_ is
  std::deque<InFlight> in_flight_;
};

Sight sight_of(Durability level);

// Several lists to read: some, or those of one slot that are next to each other.
std::vector<Wish> lists_to_read(Shared& shared, std::mt19937_64& random);
// What a snapshot shows of them, read one by one, all at once, or by a scan.
std::vector<Op> read_lists(const ReadTxn& snapshot, const std::vector<Wish>& wishes, std::mt19937_64& random);

}  // namespace azoth::proof::histories
