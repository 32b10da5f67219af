// A Pause holds writing up while it lives. Pauses of several owners, or of one owner several times, add up: writing goes
// on when the last of them has resumed. A pause is in memory only; it ends with the process. It may outlive the store.
#pragma once

#include <memory>
#include <string>

namespace azoth {

class Gate;

class [[nodiscard]] Pause {
 public:
  Pause(Pause&&) noexcept;
  Pause& operator=(Pause&&) noexcept;  // resumes what it held
  ~Pause();                            // resumes

  void resume();  // a second time does nothing
  const std::string& owner() const { return owner_; }

 private:
  friend class Store;
  Pause(std::shared_ptr<Gate> gate, std::string owner);

  std::shared_ptr<Gate> gate_;
  std::string owner_;
};

}  // namespace azoth
