#include "azoth/core/codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "support/seed.h"

namespace azoth::codec {
namespace {

template <typename T>
class CodecOf : public testing::Test {};
using Integers = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                std::uint64_t, std::int64_t>;
TYPED_TEST_SUITE(CodecOf, Integers);

TYPED_TEST(CodecOf, ValuesComeBackFromAnyAlignment) {
  using T = TypeParam;
  char bytes[sizeof(T) + 8];
  for (T value : {T{0}, T{1}, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()}) {
    for (std::size_t at = 0; at < 8; ++at) {
      store(bytes + at, value);
      EXPECT_EQ(load<T>(bytes + at), value);
    }
    std::string text = "x";
    append(text, value);
    Reader in(std::string_view(text).substr(1));
    EXPECT_EQ(in.read<T>(), value);
    EXPECT_FALSE(in.failed());
    EXPECT_TRUE(in.rest().empty());
  }
}

TEST(Codec, IntegersAreLittleEndianInRecords) {
  std::string bytes;
  append(bytes, std::uint32_t{0x01020304});
  EXPECT_EQ(bytes, "\x04\x03\x02\x01");
}

TEST(Codec, BigEndianNumbersSortAsBytes) {
  std::mt19937_64 random(test::test_seed());
  std::vector<std::uint64_t> numbers = {0, 1, 255, 256, std::numeric_limits<std::uint64_t>::max()};
  for (int i = 0; i < 200; ++i) numbers.push_back(random() >> (random() % 64));
  for (std::uint64_t a : numbers) {
    for (std::uint64_t b : numbers) {
      char left[8];
      char right[8];
      store_big(left, a);
      store_big(right, b);
      EXPECT_EQ(a < b, std::string_view(left, 8) < std::string_view(right, 8)) << a << ' ' << b;
      EXPECT_EQ(load_big(left), a);
    }
  }
}

TEST(Codec, ReaderNeverReadsPastTheEnd) {
  for (std::size_t size = 0; size < 8; ++size) {
    const std::unique_ptr<char[]> exact(new char[size]());  // a read past it is seen by the address sanitizer
    Reader in(std::string_view(exact.get(), size));
    EXPECT_EQ(in.read<std::uint64_t>(), 0u);
    EXPECT_TRUE(in.failed());
  }
}

TEST(Codec, AReadThatDoesNotFitFailsAllLaterOnes) {
  Reader in("\x01\x02\x03");
  EXPECT_EQ(in.read<std::uint8_t>(), 1);
  EXPECT_EQ(in.read<std::uint32_t>(), 0u);
  EXPECT_TRUE(in.failed());
  EXPECT_EQ(in.read<std::uint8_t>(), 0);
  EXPECT_TRUE(in.take(0).empty());
  EXPECT_TRUE(in.take(1).empty());
  EXPECT_TRUE(in.failed());
}

TEST(Codec, AnEnormousLengthDoesNotWrapAround) {
  Reader in("abc");
  EXPECT_TRUE(in.take(std::numeric_limits<std::size_t>::max()).empty());
  EXPECT_TRUE(in.failed());
}

TEST(Codec, ReaderTakesAllThereIs) {
  Reader in("abc");
  EXPECT_EQ(in.take(3), "abc");
  EXPECT_EQ(in.take(0), "");
  EXPECT_FALSE(in.failed());
}

}  // namespace
}  // namespace azoth::codec
