#include <belay/runtime/for_each.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

#include <ranges>

namespace belay {
namespace {

using namespace test;

// What for_each shares with map is in map_test.cpp.
class ForEach : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(ForEach, CallsItForEveryItem) {
    std::atomic<int> sum{0};
    rt.block_on([&]() -> task<> {
        auto add = [&](int i) -> task<> {
            co_await yield();
            sum += i;
        };
        co_await for_each(std::views::iota(1, 101), at_most(7), add);
    });
    EXPECT_EQ(sum, 5050);
}

TEST_F(ForEach, OneAtATimeIsAPlainLoop) {
    event_log log;
    rt.block_on([&]() -> task<> {
        auto note = [&](int i) -> task<> {
            log.add("begin " + std::to_string(i));
            co_await yield();
            log.add("end " + std::to_string(i));
        };
        co_await for_each(std::vector{1, 2, 3}, at_most(1), note);
    });
    EXPECT_EQ(log.text(), "begin 1, end 1, begin 2, end 2, begin 3, end 3");
}

TEST_F(ForEach, TakesMemberFunctionsAndOperations) {
    struct client {
        std::atomic<int> sent{0};
        task<> send() {
            ++sent;
            co_return;
        }
    };
    rt.block_on([]() -> task<> {
        client a, b;
        co_await for_each(std::vector{&a, &b, &a}, at_most(2), &client::send);
        EXPECT_EQ(a.sent, 2);
        EXPECT_EQ(b.sent, 1);
        gate open;
        open.open();
        co_await for_each(std::vector{&open, &open}, at_most(2), &gate::wait);
    });
}

TEST_F(ForEach, TheCallablesCapturesLiveUntilTheEnd) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto lazy = [&] {
            return for_each(std::vector{1, 2, 3}, at_most(2), [kept = counted{live}, &live](int) -> task<> {
                co_await yield();
                EXPECT_EQ(live, 1);
            });
        }();
        co_await std::move(lazy);
        EXPECT_EQ(live, 0);
    });
}

// Memory: with all places taken there are as many tasks as places, however many items there are.
TEST_F(ForEach, HasNoMoreTasksThanPlaces) {
    rt.block_on([&]() -> task<> {
        gate open;
        std::atomic<bool> done{false};
        co_await with_scope([&](scope& s) -> task<> {
            auto spawned = [&] {
                std::uint64_t sum = 0;
                for (const auto& w : rt.metrics().workers) sum += w.spawned;
                return sum;
            };
            auto before = spawned();
            s.spawn([&]() -> task<> {
                auto wait = [&](int) { return open.wait(); };
                co_await for_each(std::views::iota(0, 10'000), at_most(5), wait);
                done = true;
            });
            co_await until([&] { return open.waiting() == 5; });
            for (int i = 0; i < 1000; ++i) {
                co_await until([&] { return open.waiting() == 5; });
                open.release_one();
            }
            co_await until([&] { return open.waiting() == 5; });
            EXPECT_LE(spawned() - before, 1U + 4U);  // a place that is free again costs no spawn
            open.open();
        });
        EXPECT_TRUE(done);
    });
}

TEST_F(ForEach, AStopReachesASourceThatWaits) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto silent = [](counted) -> async_generator<int> {
            co_await never();
            co_yield 1;
        };
        auto unused = [](int) -> task<> { co_return; };
        EXPECT_THROW(co_await timeout(1ms, for_each(silent(counted{live}), at_most(3), unused)), deadline_exceeded);
        EXPECT_EQ(live, 0);
    });
}

}  // namespace
}  // namespace belay
