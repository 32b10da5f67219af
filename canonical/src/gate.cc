#include "gate.h"

#include "azoth/core/error.h"

namespace azoth {

void Gate::refuse(Writer writer) const {
  std::lock_guard lock(mutex_);
  if (closed_) throw Error(ErrorCode::Closed, "the store is closed");
  if (writer == Writer::Seal) return;
  if (sealed_) {
    throw Error(ErrorCode::Sealed,
                "the store is sealed at event " + std::to_string(*sealed_) + "; unseal it before you write to it");
  }
  if (pauses_.empty()) return;
  std::string owners;
  for (const auto& [owner, count] : pauses_) owners += (owners.empty() ? "" : ", ") + owner;
  throw Error(ErrorCode::Paused, "writing is paused by " + owners + "; try again when they have resumed");
}

void Gate::update() { shut_.store(closed_ || sealed_ || !pauses_.empty(), std::memory_order_release); }

void Gate::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  update();
}

void Gate::set_sealed(std::optional<EventId> last_event) {
  std::lock_guard lock(mutex_);
  sealed_ = last_event;
  update();
}

std::optional<EventId> Gate::sealed() const {
  std::lock_guard lock(mutex_);
  return sealed_;
}

void Gate::pause(const std::string& owner) {
  std::lock_guard lock(mutex_);
  ++pauses_[owner];
  update();
}

void Gate::resume(const std::string& owner) {
  std::lock_guard lock(mutex_);
  auto pause = pauses_.find(owner);
  if (pause == pauses_.end()) return;
  if (--pause->second == 0) pauses_.erase(pause);
  update();
}

std::map<std::string, std::uint32_t> Gate::pauses() const {
  std::lock_guard lock(mutex_);
  return pauses_;
}

}  // namespace azoth
