// The gate: who may enter the order, and what the others are told.
#include "gate.h"

#include <gtest/gtest.h>

#include "write_path_support.h"

namespace azoth {
namespace {

using test::code_of;
using test::message_of;
using Writer = Gate::Writer;

ErrorCode answer(const Gate& gate, Writer writer = Writer::User) {
  return code_of([&] {
    gate.check(writer);
    return 0;
  });
}

TEST(Gate, IsOpenAtFirst) {
  Gate gate;
  EXPECT_EQ(answer(gate), ErrorCode{});
  EXPECT_EQ(answer(gate, Writer::Seal), ErrorCode{});
  EXPECT_FALSE(gate.sealed());
  EXPECT_TRUE(gate.pauses().empty());
}

TEST(Gate, ClosedIsForGoodAndForEveryone) {
  Gate gate;
  gate.close();
  gate.set_sealed(std::nullopt);
  EXPECT_EQ(answer(gate), ErrorCode::Closed);
  EXPECT_EQ(answer(gate, Writer::Seal), ErrorCode::Closed);
}

TEST(Gate, SealedLetsOnlySealingThrough) {
  Gate gate;
  gate.set_sealed(7);
  EXPECT_EQ(answer(gate), ErrorCode::Sealed);
  EXPECT_EQ(answer(gate, Writer::Seal), ErrorCode{});
  EXPECT_EQ(gate.sealed(), std::optional<EventId>(7));
  gate.set_sealed(std::nullopt);
  EXPECT_EQ(answer(gate), ErrorCode{});
}

TEST(Gate, IsSealedAtEventZeroToo) {
  Gate gate;
  gate.set_sealed(0);
  EXPECT_EQ(answer(gate), ErrorCode::Sealed);
}

TEST(Gate, PausesAreCountedForEachOwner) {
  Gate gate;
  gate.pause("backup");
  gate.pause("backup");
  gate.pause("import");
  EXPECT_EQ(gate.pauses(), (std::map<std::string, std::uint32_t>{{"backup", 2}, {"import", 1}}));
  gate.resume("import");
  gate.resume("backup");
  EXPECT_EQ(answer(gate), ErrorCode::Paused);
  EXPECT_EQ(answer(gate, Writer::Seal), ErrorCode{});
  gate.resume("backup");
  EXPECT_EQ(answer(gate), ErrorCode{});
}

TEST(Gate, ResumingWhatIsNotPausedChangesNothing) {
  Gate gate;
  gate.pause("backup");
  gate.resume("nobody");
  EXPECT_EQ(answer(gate), ErrorCode::Paused);
}

TEST(Gate, TheAnswerNamesTheStrongestReasonAndTheOwners) {
  Gate gate;
  gate.pause("import");
  gate.pause("backup");
  EXPECT_NE(message_of([&] { return gate.check(Writer::User), 0; }).find("backup, import"), std::string::npos);
  gate.set_sealed(12);
  EXPECT_EQ(answer(gate), ErrorCode::Sealed);
  EXPECT_NE(message_of([&] { return gate.check(Writer::User), 0; }).find("event 12"), std::string::npos);
  gate.close();
  EXPECT_EQ(answer(gate), ErrorCode::Closed);
}

}  // namespace
}  // namespace azoth
