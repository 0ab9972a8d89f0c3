#include <belay/runtime/detail/fifo.hpp>

#include <gtest/gtest.h>

namespace {

struct member : belay::detail::fifo_link<member> {};
using queue = belay::detail::fifo<member>;

TEST(Fifo, GivesItsMembersOutInTheOrderInWhichTheyCame) {
    queue q;
    member a, b, c;
    EXPECT_EQ(q.pop(), nullptr);
    q.push(a);
    q.push(b);
    q.push(c);
    EXPECT_EQ(q.size(), 3U);
    EXPECT_EQ(q.front(), &a);
    EXPECT_EQ(q.pop(), &a);
    EXPECT_EQ(q.pop(), &b);
    EXPECT_EQ(q.pop(), &c);
    EXPECT_EQ(q.pop(), nullptr);
    EXPECT_TRUE(q.empty());
}

TEST(Fifo, LetsAMemberGoFromTheFrontTheMiddleAndTheEnd) {
    for (int gone = 0; gone < 3; ++gone) {
        queue q;
        member m[3];
        for (auto& x : m) q.push(x);
        q.remove(m[gone]);
        EXPECT_EQ(q.size(), 2U);
        for (int i = 0; i < 3; ++i) {
            if (i != gone) {
                EXPECT_EQ(q.pop(), &m[i]);
            }
        }
        EXPECT_TRUE(q.empty());
        q.push(m[gone]);  // and come again
        EXPECT_EQ(q.pop(), &m[gone]);
    }
}

}  // namespace
