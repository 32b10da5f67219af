// The gate: whether a transaction may enter the order now. Checked in the sequencer, under its mutex, so that nothing
// slips past; changed there too, or while the transaction lock is held exclusively, so that what is under way ends first.
//
// Closed is for good. Sealed is a fact of the store, made by a commit and undone by one. Paused is in memory, counted
// for each owner, and ends when the last of them resumes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "azoth/core/ids.h"

namespace azoth {

class Gate {
 public:
  // User: transactions, and whatever hands out numbers. Seal: sealing and unsealing, which the gate must let through.
  enum class Writer { User, Seal };

  // Throws Closed, Sealed or Paused, saying what to do.
  void check(Writer writer) const {
    if (shut_.load(std::memory_order_acquire)) refuse(writer);
  }

  void close();
  void set_sealed(std::optional<EventId> last_event);
  std::optional<EventId> sealed() const;
  void pause(const std::string& owner);
  void resume(const std::string& owner);
  std::map<std::string, std::uint32_t> pauses() const;  // by owner

 private:
  void refuse(Writer writer) const;
  void update();

  std::atomic<bool> shut_{false};
  mutable std::mutex mutex_;  // everything below
  bool closed_ = false;
  std::optional<EventId> sealed_;
  std::map<std::string, std::uint32_t> pauses_;
};

}  // namespace azoth
