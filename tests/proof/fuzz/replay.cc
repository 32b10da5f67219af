// usage: fuzz_replay [NAME [CORPUS [SECONDS [SEED]]]]
//
// Without a fuzzer: runs the inputs of a corpus, then for some seconds what a simple mutator makes of them. Without a
// name it lists the targets. CORPUS may be a single file, to repeat what a fuzzer has found.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <sstream>

#include "target.h"

namespace azoth::proof {
namespace {

constexpr std::size_t kLargest = 1 << 16;
constexpr unsigned kSecondsForOne = 30;  // what takes longer hangs

std::vector<std::string> read_corpus(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_regular_file(path)) files.push_back(path);
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty() && !path.empty()) {
    std::cerr << "there is no corpus " << path.string() << '\n';
    std::exit(2);
  }
  std::vector<std::string> inputs = {""};
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    inputs.push_back(text.str());
  }
  return inputs;
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

  std::string next() {
    std::string input = pick();
    for (std::uint64_t i = 0, steps = 1 + below(4); i < steps; ++i) step(input);
    input.resize(std::min(input.size(), kLargest));
    return input;
  }

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % std::max<std::uint64_t>(end, 1); }
  const std::string& pick() { return corpus_[below(corpus_.size())]; }

  void splice(std::string& input, std::size_t at, const std::string& other) {
    input = input.substr(0, at) + other.substr(below(other.size() + 1));
  }

  void step(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0:
        input.insert(at, 1, static_cast<char>(random_()));
        break;
      case 1:
        input.erase(at, 1 + below(8));
        break;
      case 2:
        input.insert(at, input.substr(below(input.size() + 1), below(32)));
        break;
      case 3:
        splice(input, at, pick());
        break;
      default:
        if (at < input.size()) input[at] = static_cast<char>(below(2) != 0 ? input[at] ^ (1 << below(8)) : random_());
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
};

// What was under way when the program died can be read here.
void note(std::string_view input) {
  put_file(scratch() / "input", input);
  alarm(kSecondsForOne);
}

int replay(const Target& target, const std::filesystem::path& corpus, std::chrono::duration<double> time,
           std::uint64_t seed) {
  std::vector<std::string> inputs = read_corpus(corpus);
  for (const std::string& input : inputs) {
    note(input);
    target.run(input);
  }
  Mutator mutator(inputs, seed);
  std::uint64_t tried = 0;
  const auto end = std::chrono::steady_clock::now() + time;
  for (; std::chrono::steady_clock::now() < end; ++tried) {
    const std::string input = mutator.next();
    note(input);
    target.run(input);
  }
  alarm(0);
  std::cout << target.name << ": " << inputs.size() << " inputs of the corpus and " << tried << " of the mutator, seed "
            << seed << '\n';
  return 0;
}

}  // namespace
}  // namespace azoth::proof

int main(int argc, char** argv) {
  using namespace azoth::proof;
  const Target* target = argc > 1 ? find_target(argv[1]) : nullptr;
  if (target == nullptr) {
    for (const Target& one : targets()) std::cout << one.name << ": " << one.promise << '\n';
    return argc > 1 ? 2 : 0;
  }
  const double seconds = argc > 3 ? std::atof(argv[3]) : 0;
  const std::uint64_t seed = argc > 4 ? std::strtoull(argv[4], nullptr, 0) : std::random_device()();
  scratch();  // before anything that uses it, so that it goes last
  std::cout << "input under way: " << (scratch() / "input").string() << std::endl;
  return replay(*target, argc > 2 ? argv[2] : "", std::chrono::duration<double>(seconds), seed);
}
