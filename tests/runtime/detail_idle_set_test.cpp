#include <belay/runtime/detail/idle_set.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using detail::idle_set;

TEST(IdleSet, IsEmptyAtFirst) {
    idle_set set;
    EXPECT_FALSE(set.any());
    EXPECT_FALSE(set.any_relaxed());
    EXPECT_EQ(set.count(), 0U);
    EXPECT_EQ(set.claim(), -1);
}

TEST(IdleSet, AClaimTakesASleeperOutAndTellsIt) {
    idle_set set;
    for (unsigned i : {0U, 63U, 64U, 255U}) {
        set.add(i);
        EXPECT_TRUE(set.any());
        EXPECT_EQ(set.count(), 1U);
        EXPECT_EQ(set.claim(), static_cast<int>(i));
        EXPECT_FALSE(set.remove(i)) << "it was woken on purpose";
        EXPECT_FALSE(set.any());
    }
}

TEST(IdleSet, ASleeperThatWakesByItselfIsClaimedByNobody) {
    idle_set set;
    set.add(7);
    set.add(200);
    EXPECT_EQ(set.count(), 2U);
    EXPECT_TRUE(set.remove(7));
    EXPECT_EQ(set.claim(), 200);
    EXPECT_EQ(set.claim(), -1);
}

TEST(IdleSet, EachSleepIsClaimedAtMostOnce) {
    test::hard_timeout limit;
    idle_set set;
    constexpr int rounds = 20'000;
    std::atomic<int> claims{0}, removed{0}, lost{0};
    std::atomic<bool> quit{false};
    std::vector<std::thread> claimers;
    for (int t = 0; t < 2; ++t) {
        claimers.emplace_back([&] {
            while (!quit) {
                if (set.claim() >= 0) ++claims;
            }
        });
    }
    std::vector<std::thread> sleepers;
    for (unsigned s = 0; s < 2; ++s) {
        sleepers.emplace_back([&, s] {
            for (int i = 0; i < rounds; ++i) {
                set.add(s * 100);
                set.remove(s * 100) ? ++removed : ++lost;
            }
        });
    }
    for (auto& t : sleepers) t.join();
    quit = true;
    for (auto& t : claimers) t.join();
    EXPECT_EQ(removed + lost, 2 * rounds);
    EXPECT_EQ(claims, lost);
}

}  // namespace
}  // namespace belay
