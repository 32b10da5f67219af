#include "azoth/canonical/pause.h"

#include <utility>

#include "gate.h"

namespace azoth {

Pause::Pause(std::shared_ptr<Gate> gate, std::string owner) : gate_(std::move(gate)), owner_(std::move(owner)) {}
Pause::Pause(Pause&&) noexcept = default;
Pause::~Pause() { resume(); }

Pause& Pause::operator=(Pause&& other) noexcept {
  resume();
  gate_ = std::move(other.gate_);
  owner_ = std::move(other.owner_);
  return *this;
}

void Pause::resume() {
  if (auto gate = std::exchange(gate_, nullptr)) gate->resume(owner_);
}

}  // namespace azoth
