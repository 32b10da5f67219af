#include "azoth/core/digest.h"

#include <gtest/gtest.h>

#include <set>

#include "azoth/core/error.h"

namespace azoth {
namespace {

std::string digest_of(std::string_view bytes) {
  Digest digest;
  digest.add(bytes);
  return digest.finish_hex();
}

TEST(Checksum, IsXxh3) {
  EXPECT_EQ(checksum64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(checksum64("abc"), 0x78af5f94892f3950u);
}

TEST(Checksum, DependsOnTheSeedAndOnEveryBit) {
  for (std::size_t size : {1u, 16u, 17u, 128u, 240u, 241u, 1000u, 5000u}) {
    std::string bytes(size, 'x');
    std::set<std::uint64_t> seen = {checksum64(bytes), checksum64(bytes, 1)};
    for (std::size_t at = 0; at < size; at += 1 + size / 50) {
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
      seen.insert(checksum64(bytes));
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
    }
    EXPECT_EQ(seen.size(), 2 + (size + size / 50) / (1 + size / 50)) << size;
    EXPECT_EQ(checksum64(bytes, 7), checksum64(std::string(bytes), 7));
  }
}

TEST(Digest, IsBlake2bOf256Bits) {
  EXPECT_EQ(digest_of(""), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  EXPECT_EQ(digest_of("abc"), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(Digest, PiecesAreNotSeparated) {
  Digest digest;
  digest.add("a");
  digest.add("");
  digest.add("bc");
  EXPECT_EQ(digest.finish_hex(), digest_of("abc"));
}

TEST(Digest, LengthsSeparate) {
  Digest left;
  left.add_length_prefixed("ab");
  left.add_length_prefixed("c");
  Digest right;
  right.add_length_prefixed("a");
  right.add_length_prefixed("bc");
  EXPECT_NE(left.finish_hex(), right.finish_hex());
}

TEST(Digest, NumbersAreEightLittleEndianBytes) {
  Digest digest;
  digest.add(std::uint64_t{0x0102});
  EXPECT_EQ(digest.finish_hex(), digest_of(std::string_view("\x02\x01\0\0\0\0\0\0", 8)));
  Digest prefixed;
  prefixed.add_length_prefixed("ab");
  EXPECT_EQ(prefixed.finish_hex(), digest_of(std::string_view("\x02\0\0\0\0\0\0\0ab", 10)));
}

TEST(Digest, IsFinishedOnce) {
  Digest digest;
  digest.add("abc");
  EXPECT_EQ(digest.finish_hex(), digest_of("abc"));
  EXPECT_THROW(digest.finish_hex(), Error);
  EXPECT_THROW(digest.add("d"), Error);
}

TEST(Digest, CanBeMovedHalfWay) {
  Digest begun;
  begun.add("a");
  Digest moved = std::move(begun);
  moved.add("bc");
  EXPECT_EQ(moved.finish_hex(), digest_of("abc"));
}

}  // namespace
}  // namespace azoth
