// What the children do: one has the store open for writing, with clients, a projection that follows, and somebody who
// pauses, seals, backs up, flushes; another one reads beside it. Each runs until it is told to end, or killed.
#pragma once

#include "record.h"
#include "shared.h"

#include "azoth/db.h"

namespace azoth::proof::histories {

constexpr Word kClients = 12;
constexpr Word kClientsBeside = 2;

struct Plan {
  Word transactions = 0;     // that are to end, at least
  Word backups = 0;          // over the whole run
  Word longest_life = 1500;  // milliseconds; most end at some moment before that
  std::uint64_t seed = 0;
};

// As different as the seed wants.
Options store_options(std::uint64_t seed);

void live(const Places& places, Shared& shared, const Plan& plan, Word life);
void read_beside(const Places& places, Shared& shared, Word process, std::uint64_t seed);

// How many values each list has, and their sum.
Projection tally();
constexpr const char* kTally = "tally";

}  // namespace azoth::proof::histories
