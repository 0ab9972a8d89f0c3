#include <belay/runtime/detail/lost_time.hpp>

#include <gtest/gtest.h>

namespace belay::detail {
namespace {

constexpr std::int64_t second = 1'000'000'000;

TEST(LostTime, ATimeThatBeganBeforeAGapIsWithoutIt) {
    lost_time lost{10 * second};
    lost.note(100 * second, 3 * second);
    EXPECT_EQ(lost.since(90 * second), 3 * second);
    EXPECT_EQ(lost.since(97 * second), 3 * second);
    EXPECT_EQ(lost.since(99 * second), second) << "began in it";
    EXPECT_EQ(lost.since(100 * second), 0);
    lost.note(105 * second, 2 * second);
    EXPECT_EQ(lost.since(90 * second), 5 * second);
}

TEST(LostTime, AShortGapIsNone) {
    lost_time lost{16 * second};
    lost.note(100 * second, second - 1);
    EXPECT_EQ(lost.since(0), 0);
    lost.note(100 * second, second);
    EXPECT_EQ(lost.since(0), second);
}

// Those that are forgotten make no difference: what is left is as long as the limit.
TEST(LostTime, TheLatestGapsAreKept) {
    lost_time lost{16 * second};
    for (std::int64_t i = 1; i <= 100; ++i) lost.note(i * 10 * second, second);
    EXPECT_EQ(lost.since(0), 16 * second);
    EXPECT_EQ(lost.since(990 * second), second);
}

TEST(LostTime, WhileSomebodyIsAwayTheTimeIsLostFromTheLookBefore) {
    lost_time lost{8 * second};
    lost.note_away(10 * second, false);
    lost.note_away(12 * second, true);
    EXPECT_EQ(lost.since(9 * second), 2 * second);
    lost.note_away(20 * second, true);
    EXPECT_EQ(lost.since(9 * second), 10 * second);
    EXPECT_EQ(lost.since(15 * second), 5 * second);
    lost.note_away(22 * second, false);
    EXPECT_EQ(lost.since(9 * second), 12 * second);
    lost.note_away(30 * second, false);
    EXPECT_EQ(lost.since(9 * second), 12 * second);
}

}  // namespace
}  // namespace belay::detail
