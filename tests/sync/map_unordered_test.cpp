#include <belay/runtime/runtime.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/map_unordered.hpp>
#include <belay/tests/runtime/support.hpp>

#include <algorithm>
#include <ranges>

namespace belay {
namespace {

using namespace test;

// What map_unordered shares with map is in map_test.cpp.
class MapUnordered : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(MapUnordered, HandsOverTheResultsInTheOrderInWhichTheyAreReady) {
    rt.block_on([]() -> task<> {
        std::array<gate, 4> gates;
        auto wait = [&](int i) -> task<int> {
            co_await gates[static_cast<std::size_t>(i)].wait();
            co_return i;
        };
        std::vector<int> got;
        auto consume = [&](int i) {
            got.push_back(i);
            if (i > 0) gates[static_cast<std::size_t>(i) - 1].open();
        };
        gates[3].open();
        co_await map_unordered(std::vector{0, 1, 2, 3}, at_most(4), wait, consume);
        EXPECT_EQ(got, (std::vector{3, 2, 1, 0}));
    });
}

TEST_F(MapUnordered, HandsOverEveryResultOnceAndOneAtATime) {
    rt.block_on([]() -> task<> {
        auto work = [](int i) -> task<std::unique_ptr<int>> {
            if (i % 3 == 0) co_await yield();
            co_return std::make_unique<int>(i);
        };
        std::vector<int> got;  // no lock: the consumer runs once at a time
        bool inside = false;
        auto consume = [&](std::unique_ptr<int> p) -> task<> {
            EXPECT_FALSE(std::exchange(inside, true));
            if (*p % 5 == 0) co_await yield();
            got.push_back(*p);
            inside = false;
        };
        co_await map_unordered(std::views::iota(0, 1000), at_most(6), work, consume);
        std::ranges::sort(got);
        for (int i = 0; i < 1000; ++i) EXPECT_EQ(got.at(static_cast<std::size_t>(i)), i);
        EXPECT_EQ(got.size(), 1000U);
    });
}

TEST_F(MapUnordered, ASlowConsumerHoldsBackTheWorkAndTheSource) {
    rt.block_on([]() -> task<> {
        gate slow;
        std::atomic<int> taken{0}, consumed{0};
        auto source = std::views::iota(0, 100) | std::views::transform([&](int i) {
                          ++taken;
                          return i;
                      });
        auto work = [](int i) -> task<int> { co_return i; };
        auto consume = [&](int) -> task<> {
            ++consumed;
            EXPECT_LE(taken, consumed + 2);  // two more have a place
            co_await slow.wait();
        };
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await map_unordered(source, at_most(3), work, consume); });
            co_await until([&] { return taken == 3 && slow.waiting() == 1; });
            EXPECT_EQ(consumed, 1);
            slow.open();
        });
        EXPECT_EQ(consumed, 100);
    });
}

TEST_F(MapUnordered, FeedsAChannel) {
    rt.block_on([]() -> task<> {
        auto [tx, rx] = channel<int>(2);
        int sum = 0;
        co_await with_scope([&, &from = rx](scope& s) -> task<> {
            s.spawn(
                [](sender<int> to) -> task<> {
                    auto work = [](int i) -> task<int> { co_return i; };
                    auto forward = [&](int i) -> task<> { co_await to.send(i); };
                    co_await map_unordered(std::views::iota(0, 100), at_most(4), work, forward);
                },
                std::move(tx));
            while (auto item = co_await from.recv()) sum += *item;
        });
        EXPECT_EQ(sum, 4950);
    });
}

TEST_F(MapUnordered, AnErrorOfTheConsumerStopsTheWork) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto work = [&](int i) -> task<int> {
            counted local{live};
            if (i > 0) co_await never();
            co_await until([&] { return live == 3; });
            co_return i;
        };
        auto consume = [](int) { throw std::runtime_error("consumer"); };
        EXPECT_THROW(co_await map_unordered(std::views::iota(0), at_most(3), work, consume), std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

TEST_F(MapUnordered, AStopEndsItWhileResultsWait) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto work = [&](int) -> task<counted> { co_return counted{live}; };
        auto consume = [&](counted) -> task<> { co_await never(); };
        EXPECT_THROW(co_await timeout(2ms, map_unordered(std::views::iota(0), at_most(4), work, consume)), deadline_exceeded);
        EXPECT_EQ(live, 0);
    });
}

}  // namespace
}  // namespace belay
