#include <belay/runtime/at_most.hpp>

#include <gtest/gtest.h>

namespace belay {
namespace {

TEST(AtMost, HoldsAnyIntegerFromOne) {
    static_assert(at_most(1).value() == 1);
    static_assert(at_most(16U).value() == 16);
    static_assert(at_most(std::size_t{1} << 40).value() == std::size_t{1} << 40);
    static_assert(!std::is_convertible_v<int, at_most>, "a number alone does not say what it is");
    static_assert(!std::is_constructible_v<at_most, bool>);
}

TEST(AtMost, SaysWhatIsWrongWithLess) {
    EXPECT_THROW(at_most(-1), std::invalid_argument);
    try {
        (void)at_most(0);
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("at_most(n) needs an n of at least 1"), std::string::npos);
    }
}

}  // namespace
}  // namespace belay
