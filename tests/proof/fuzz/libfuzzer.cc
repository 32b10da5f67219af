// The targets for libFuzzer: AZOTH_FUZZ_TARGET names the one to run. Without a name it lists them.
#include "target.h"

static const azoth::proof::Target* chosen = nullptr;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using namespace azoth::proof;
  const char* name = std::getenv("AZOTH_FUZZ_TARGET");
  chosen = name != nullptr ? find_target(name) : nullptr;
  if (chosen == nullptr) {
    for (const Target& one : targets()) std::cout << one.name << ": " << one.promise << '\n';
    std::exit(name != nullptr ? 2 : 0);
  }
  scratch();  // before anything that uses it, so that it goes last
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
