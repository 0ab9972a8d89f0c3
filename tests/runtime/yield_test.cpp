#include <belay/runtime/scope.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Yield : public Suite {
protected:
    runtime one{options(1)};
};

TEST_F(Yield, LetsEveryReadyTaskRunFirst) {
    event_log log;
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) {
                s.spawn([&, i]() -> task<> {
                    for (int k = 0; k < 2; ++k) {
                        log.add(std::to_string(i));
                        co_await yield();
                    }
                });
            }
            co_await until([&] { return log.all().size() >= 3; });
            // Each of the three has run once; none twice before all others had their turn.
            auto events = log.all();
            EXPECT_EQ(std::set<std::string>(events.begin(), events.begin() + 3).size(), 3U);
        });
    });
    EXPECT_EQ(log.all().size(), 6U);
}

TEST_F(Yield, StopsInAStoppedScope) {
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await yield();
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
}

TEST_F(Yield, ACheckpointGoesOnAtOnceUntilTheBudgetIsUsedUp) {
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            co_await yield();  // a fresh poll
            bool other_ran = false;
            s.spawn([&]() -> task<> {
                other_ran = true;
                co_return;
            });
            int checkpoints = 0;
            for (; !other_ran && checkpoints < 1000; ++checkpoints) co_await checkpoint();
            EXPECT_TRUE(other_ran);
            EXPECT_GT(checkpoints, 1);
            EXPECT_LE(checkpoints, 2 * 128);
        });
    });
    EXPECT_GE(one.metrics().workers[0].budget_yields, 1U);
}

// Promise 3, level-triggered: every later suspension stops too, and a loop that computes notices.
TEST_F(Yield, ACheckpointStopsInAStoppedScope) {
    std::atomic<int> rounds{0};
    runtime two{options(2)};
    two.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                for (;;) {
                    co_await checkpoint();
                    ++rounds;
                }
            });
            co_await until([&] { return rounds > 1000; });
            s.request_stop();
        });
    });
}

TEST_F(Yield, EverySuspensionOfADestructorPathAfterAStopIsImpossibleToReach) {
    // A stop that is seen at one suspension is seen at the next one as well: the first never returns.
    int passed = 0;
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            for (;;) {
                try {
                    co_await yield();
                } catch (...) {}
                ++passed;
            }
        });
    });
    EXPECT_EQ(passed, 0);
}

}  // namespace
}  // namespace belay
