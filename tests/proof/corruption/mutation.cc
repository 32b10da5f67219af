#include "mutation.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace azoth::proof {

namespace {

constexpr std::size_t kPage = 4096;

}  // namespace

// One mutation in the making.
struct Mutator::Maker {
  const Mutator& from;
  std::mt19937_64 random;
  Mutation made;

  std::uint64_t below(std::uint64_t end) { return end == 0 ? 0 : random() % end; }
  bool chance(unsigned percent) { return below(100) < percent; }
  const std::string& pick_name() { return from.names_[below(from.names_.size())]; }

  void say(std::string kind, const std::string& detail) {
    made.what = kind + ": " + detail;
    made.kind = std::move(kind);
  }

  // Rather where something is: most of a file that was allocated ahead is zeros. Half of the time near the begin of a
  // page, where the headers are.
  std::size_t pick_offset(const std::string& bytes) {
    std::size_t at = 0;
    for (int attempt = 0; attempt < 40; ++attempt) {
      at = below(bytes.size());
      if (chance(50)) at = std::min(bytes.size() - 1, at / kPage * kPage + below(64));
      const std::size_t begin = at / 16 * 16;
      const std::size_t size = std::min<std::size_t>(16, bytes.size() - begin);
      if (bytes.find_first_not_of('\0', begin) < begin + size) break;
    }
    return at;
  }

  static std::string place(const std::string& name, std::size_t at) { return name + " at " + std::to_string(at); }

  void flip_bits() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const std::size_t at = pick_offset(bytes);
    const std::uint64_t bits = chance(70) ? 1 : 1 + below(8);
    for (std::uint64_t i = 0; i < bits; ++i) {
      char& byte = bytes[std::min(bytes.size() - 1, at + (i == 0 ? 0 : below(16)))];
      byte = static_cast<char>(byte ^ (1 << below(8)));
    }
    say("flipped bits", std::to_string(bits) + " in " + place(name, at));
  }

  // A number in it becomes another one: a bit more, a bit less, nothing, the largest.
  void change_number() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const std::size_t width = std::size_t{1} << below(4);
    if (bytes.size() < width) return flip_bits();
    const std::size_t at = std::min(pick_offset(bytes), bytes.size() - width) / width * width;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, width);
    const std::uint64_t values[] = {value + 1,  value - 1,  0,        ~std::uint64_t{0},
                                    value << 1, value >> 1, random(), std::uint64_t{1} << below(64)};
    std::memcpy(bytes.data() + at, &values[below(std::size(values))], width);
    say("changed numbers", std::to_string(width) + " bytes of " + place(name, at));
  }

  void zero_block() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const std::size_t size = std::min<std::size_t>(bytes.size(), std::size_t{16} << (4 * below(3)));
    const std::size_t at = pick_offset(bytes) / size * size;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min(size, bytes.size() - at), '\0');
    say("zeroed blocks", std::to_string(size) + " bytes of " + place(name, at));
  }

  std::size_t pick_page(const std::string& bytes) { return pick_offset(bytes) / kPage * kPage; }

  void misplace_pages() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    if (bytes.size() < 2 * kPage) return flip_bits();
    const std::size_t a = std::min(pick_page(bytes), bytes.size() - kPage) / kPage * kPage;
    const std::size_t b = std::min(pick_page(bytes), bytes.size() - kPage) / kPage * kPage;
    const std::string page_a = bytes.substr(a, kPage);
    const bool swapped = chance(50);
    if (swapped) bytes.replace(a, kPage, bytes.substr(b, kPage));
    bytes.replace(b, kPage, page_a);
    say(swapped ? "swapped pages" : "misplaced pages", place(name, a) + " and " + std::to_string(b));
  }

  // A write that was lost, though the device said that it was done.
  void lose_writes() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const auto before = from.before_.find(name);
    if (before == from.before_.end() || before->second.size() < kPage || bytes.size() < kPage) return flip_bits();
    const std::string& old = before->second;
    const std::size_t block = chance(70) ? kPage : 512;
    const std::uint64_t blocks = std::min(old.size(), bytes.size()) / block;
    std::vector<std::size_t> different;
    for (std::uint64_t i = 0; i < blocks; ++i) {
      if (bytes.compare(i * block, block, old, i * block, block) != 0) different.push_back(i * block);
    }
    if (different.empty()) return flip_bits();
    const std::uint64_t lost = chance(70) ? 1 : 1 + below(4);
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < lost; ++i) {
      at = different[below(different.size())];
      bytes.replace(at, block, old, at, block);
    }
    say("lost writes", std::to_string(lost) + " of " + std::to_string(block) + " bytes, " + place(name, at));
  }

  void cut() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const std::size_t size = chance(30) ? pick_page(bytes) : below(bytes.size());
    bytes.resize(size);
    say("cut files", place(name, size));
  }

  void extend() {
    const std::string name = pick_name();
    std::string& bytes = made.files[name];
    const std::size_t more = chance(50) ? kPage : 1 + below(100);
    const std::string tail = chance(50) ? std::string(more, '\0') : bytes.substr(0, more);
    bytes += tail;
    say("extended files", name + " by " + std::to_string(tail.size()));
  }

  void take_older_file() {
    const std::string name = pick_name();
    const auto before = from.before_.find(name);
    if (before == from.before_.end() || before->second == made.files[name]) return flip_bits();
    made.files[name] = before->second;
    say("older files", name);
  }

  void mix_up_files() {
    const std::string a = pick_name();
    const std::string b = pick_name();
    const bool older = chance(30) && from.before_.contains(a);
    std::string bytes_a = older ? from.before_.at(a) : made.files[a];
    const bool swapped = chance(50);
    if (swapped) made.files[a] = made.files[b];
    made.files[b] = std::move(bytes_a);
    say(swapped ? "swapped files" : "misplaced files", a + (older ? " (older) and " : " and ") + b);
  }

  void lose_file() {
    const std::string name = pick_name();
    made.files.erase(name);
    say("lost files", name);
  }
};

Mutator::Mutator(const Files& files, const Files& before, std::string prefix) : files_(files), before_(before) {
  for (const auto& [name, bytes] : files) {
    if (name.starts_with(prefix) && !bytes.empty()) names_.push_back(name);
  }
}

Mutation Mutator::make(std::uint64_t number) const {
  Maker maker{*this, std::mt19937_64(number), {{}, {}, files_}};
  const std::uint64_t kind = maker.below(100);
  if (kind < 35) {
    maker.flip_bits();
  } else if (kind < 57) {
    maker.change_number();
  } else if (kind < 64) {
    maker.zero_block();
  } else if (kind < 72) {
    maker.misplace_pages();
  } else if (kind < 86) {
    maker.lose_writes();
  } else if (kind < 90) {
    maker.cut();
  } else if (kind < 93) {
    maker.extend();
  } else if (kind < 95) {
    maker.take_older_file();
  } else if (kind < 99) {
    maker.mix_up_files();
  } else {
    maker.lose_file();
  }
  return std::move(maker.made);
}

}  // namespace azoth::proof
