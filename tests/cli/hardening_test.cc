// How the program was built and linked, by what its file says.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "program.h"

namespace azoth::test {
namespace {

class Hardening : public testing::Test {
 protected:
  template <class T>
  T at(std::uint64_t offset) const {
    T value{};
    EXPECT_LE(offset + sizeof value, file_.size());
    if (offset + sizeof value <= file_.size()) std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }
  std::vector<Elf64_Phdr> segments(Elf64_Word type) const {
    std::vector<Elf64_Phdr> found;
    const auto header = at<Elf64_Ehdr>(0);
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      const auto segment = at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
      if (segment.p_type == type) found.push_back(segment);
    }
    return found;
  }
  // Of the dynamic section.
  std::uint64_t flags(Elf64_Sxword tag) const {
    for (const Elf64_Phdr& segment : segments(PT_DYNAMIC)) {
      for (std::uint64_t at_byte = 0; at_byte < segment.p_filesz; at_byte += sizeof(Elf64_Dyn)) {
        const auto entry = at<Elf64_Dyn>(segment.p_offset + at_byte);
        if (entry.d_tag == tag) return entry.d_un.d_val;
      }
    }
    return 0;
  }
  bool names(const std::string& symbol) const { return file_.find('\0' + symbol + '\0') != std::string::npos; }

  const std::string file_ = read_file(AZOTH_PROGRAM);
};

TEST_F(Hardening, TheProgramLiesWhereTheSystemPutsItAndItsTablesAreReadOnly) {
  EXPECT_EQ(at<Elf64_Ehdr>(0).e_type, ET_DYN) << "it is not position-independent";
  EXPECT_EQ(segments(PT_GNU_RELRO).size(), 1u);
  EXPECT_TRUE((flags(DT_FLAGS) & DF_BIND_NOW) != 0 || (flags(DT_FLAGS_1) & DF_1_NOW) != 0);
}

TEST_F(Hardening, NoStackAndNoWritableMemoryCanBeRun) {
  const auto stacks = segments(PT_GNU_STACK);
  ASSERT_EQ(stacks.size(), 1u);
  EXPECT_EQ(stacks[0].p_flags & PF_X, 0u);
  for (const Elf64_Phdr& segment : segments(PT_LOAD)) EXPECT_NE(segment.p_flags & (PF_W | PF_X), PF_W | PF_X);
}

TEST_F(Hardening, StacksAreGuarded) { EXPECT_TRUE(names("__stack_chk_fail")); }

}  // namespace
}  // namespace azoth::test
