// The clients of one life of a store: threads that use all of its ways to write and read, at all levels of durability,
// and check each answer; one that seals and pauses; one that follows the events; and whoever closes the store, perhaps
// while all of this is under way.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "azoth/canonical/store.h"
#include "ledger.h"
#include "scheduler.h"

namespace azoth::proof {

// What the clients of one life do; all of it follows from a seed.
struct Scenario {
  int clients = 3;
  int acts = 10;  // of each
  bool has_admin = false;
  bool has_subscriber = false;
  bool closes_early = false;
  bool large_values = false;
  Options options;

  static Scenario of(Random& random);
};

// What they share. Only one thread runs at a time, and none is interrupted in here.
struct Scene {
  Store& store;
  Ledger& ledger;
  const Scenario& scenario;
  bool closing = false;
  bool is_held_up = false;         // it is, or may be, sealed or paused
  std::uint64_t let_go = 0;        // how often it was no more
  std::deque<int> callbacks = {};  // how often each has come
  std::uint64_t answers = 0;       // of any kind
  std::uint64_t placed = 0;        // transactions
  EventId delivered = 0;           // to the subscriber

  // Fails unless the error is one that may come now; to an act during which the store was held up also that it was.
  void accept(const char* act, const Error& error, bool was_held_up = false);
};

class Client {
 public:
  Client(Scene& scene, std::uint64_t seed) : scene_(scene), store_(scene.store), ledger_(scene.ledger), random_(seed) {}

  void run();

 private:
  struct Pending {
    Ticket ticket;
    int deed;
  };
  using Level = Durability;

  void act();
  Deed new_deed(bool counts);
  Level any_level();
  std::string any_key();
  std::string any_tag();
  std::optional<std::chrono::nanoseconds> any_timeout();

  void submit();
  void submit_decided();
  void submit_in_bulk();
  void command();
  void transact();
  void write_exclusively();
  void take_numbers();
  void read();
  void look_at_marks();
  void make_safe();

  // A deed has its place. `seal`: the one that the store was under when it was asked.
  void placed(int deed, const CommitInfo& info, std::uint64_t seal);
  void follow(const Ticket& ticket, int deed);
  void settle(const Pending& pending);
  template <class Act>
  void attempt(const char* name, Act act);
  template <class Act>
  void attempt(const char* name, int deed, Act act);

  Scene& scene_;
  Store& store_;
  Ledger& ledger_;
  Random random_;
  std::deque<Pending> pending_;
  std::array<CommitSeq, 4> marks_{};  // as they were last seen
};

// Seals and pauses.
void administer(Scene& scene, std::uint64_t seed);
// Follows the events, from the first one on, until the store is closed.
void follow(Scene& scene, Subscription& subscription);

}  // namespace azoth::proof
