#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Sleep : public Suite {
protected:
    runtime rt{options()};
    using clock = std::chrono::steady_clock;
};

TEST_F(Sleep, NeverEndsEarly) {
    rt.block_on([&]() -> task<> {
        for (auto d : {1us, 70us, 1000us, 5000us}) {
            auto began = clock::now();
            co_await sleep_for(d);
            EXPECT_GE(clock::now() - began, d);
            auto when = clock::now() + d;
            co_await sleep_until(when);
            EXPECT_GE(clock::now(), when);
        }
    });
}

TEST_F(Sleep, ZeroAndNegativeSleepsLetOthersRun) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            bool ran = false;
            s.spawn([&]() -> task<> {
                ran = true;
                co_return;
            });
            while (!ran) co_await sleep_for(0s);
            co_await sleep_for(-1h);
            co_await sleep_until(clock::time_point::min());
        });
    });
}

TEST_F(Sleep, EarlierSleepsEndFirst) {
    event_log log;
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        auto base = clock::now() + 1ms;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i : {3, 1, 4, 0, 2}) {
                s.spawn([&, i]() -> task<> {
                    co_await sleep_until(base + i * 2ms);
                    log.add(std::to_string(i));
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(log.text(), "0, 1, 2, 3, 4");
}

TEST_F(Sleep, AStopEndsASleepOfAnyLengthAtOnceAndLeavesNoTimer) {
    std::atomic<int> sleeping{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 100; ++i) {
                s.spawn([&]() -> task<> {
                    ++sleeping;
                    co_await sleep_for(std::chrono::hours::max());
                    ADD_FAILURE() << "went on after a stop";
                });
            }
            co_await until([&] { return sleeping == 100; });
            s.request_stop();
        });
    });
    std::size_t armed = 0;
    for (const auto& w : rt.metrics().workers) armed += w.timers;
    EXPECT_EQ(armed, 0U);
}

TEST_F(Sleep, ManySleepsAtOnceAllEnd) {
    std::atomic<int> ended{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 2000; ++i) {
                s.spawn([&, i]() -> task<> {
                    co_await sleep_for(std::chrono::microseconds(i % 7 * 500));
                    ++ended;
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(ended, 2000);
}

TEST_F(Sleep, AWorkerThatSleepsInItsDriverWakesForItsTimer) {
    for (int i = 0; i < 30; ++i) {
        rt.block_on([]() -> task<> { co_await sleep_for(2ms); });
    }
}

// The timer, the stop and the loser's stop race; exactly one decides (promise 2).
TEST_F(Sleep, RacingSleepsEndExactlyOnce) {
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < 500; ++i) {
            auto won = co_await when_any(sleep_for(100us), sleep_for(100us), sleep_for(std::chrono::microseconds(i)));
            EXPECT_LT(won.index, 3U);
        }
    });
}

}  // namespace
}  // namespace belay
