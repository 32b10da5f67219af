#include "line_reader.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vector>

#include "azoth/core/error.h"
#include "program.h"

namespace azoth::cli {
namespace {

struct Read {
  std::vector<std::string> lines;
  std::vector<std::uint64_t> too_long;
  std::uint64_t bytes = 0;
};

Read read_all(const std::string& content, std::size_t longest = 1 << 20) {
  test::TempDir directory;
  test::write_file(directory.path() / "in", content);
  InputFile input((directory.path() / "in").string());
  EXPECT_EQ(input.size(), content.size());
  LineReader reader(input, longest);
  Read read;
  while (auto line = reader.next()) {
    EXPECT_EQ(line->number, read.lines.size() + 1);
    if (line->too_long) read.too_long.push_back(line->number);
    read.lines.emplace_back(line->text);
  }
  read.bytes = reader.bytes();
  return read;
}

using Lines = std::vector<std::string>;

TEST(LineReader, EveryLineIsCountedAlsoEmptyOnes) {
  Read read = read_all("a\n\nbc\n");
  EXPECT_EQ(read.lines, (Lines{"a", "", "bc"}));
  EXPECT_EQ(read.bytes, 6u);
  EXPECT_EQ(read_all("").lines, Lines{});
  EXPECT_EQ(read_all("\n").lines, Lines{""});
}

TEST(LineReader, TheLastLineNeedsNoNewline) { EXPECT_EQ(read_all("a\nlast").lines, (Lines{"a", "last"})); }

TEST(LineReader, LinesLongerThanTheBufferAreWhole) {
  std::string big(3'000'000, 'x');
  Read read = read_all("a\n" + big + "\nb\n" + big, 4'000'000);
  EXPECT_EQ(read.lines, (Lines{"a", big, "b", big}));
}

TEST(LineReader, ALineBeyondTheLimitIsSkippedAndTheNextIsRead) {
  for (std::size_t size : {std::size_t{101}, std::size_t{1'000'000}}) {
    std::string big(size, 'x');
    Read read = read_all("a\n" + big + "\nb\n" + big, 100);
    EXPECT_EQ(read.lines, (Lines{"a", "", "b", ""})) << size;
    EXPECT_EQ(read.too_long, (std::vector<std::uint64_t>{2, 4})) << size;
    EXPECT_EQ(read.bytes, 4 + 2 * size + 1) << size;
  }
  EXPECT_EQ(read_all(std::string(100, 'x') + "\n", 100).too_long.size(), 0u);
}

TEST(LineReader, StopsWaitingForInputWhenTold) {
  int stop = ::eventfd(1, 0);
  test::TempDir directory;
  test::write_file(directory.path() / "in", "a\n");
  InputFile input((directory.path() / "in").string());
  LineReader reader(input, 100, stop);
  EXPECT_FALSE(reader.next());
  ::close(stop);
}

TEST(LineReader, AFileThatCannotBeReadIsAnError) {
  test::TempDir directory;
  EXPECT_THROW(InputFile((directory.path() / "none").string()), Error);
  InputFile input(directory.path().string());
  LineReader reader(input, 100);
  EXPECT_THROW((void)reader.next(), Error);
}

}  // namespace
}  // namespace azoth::cli
