// The targets for libFuzzer: AZOTH_FUZZ_TARGET names the one to run.
#include "target.h"

static const azoth::proof::Target* chosen = nullptr;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("AZOTH_FUZZ_TARGET");
  chosen = azoth::proof::find_target(name != nullptr ? name : "");
  if (chosen == nullptr) {
    std::cerr << "set AZOTH_FUZZ_TARGET to one of:\n";
    for (const auto& target : azoth::proof::targets())
      std::cerr << "  " << target.name << ": " << target.promise << '\n';
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
