// Programs that poll: whatever the seed, the others come to their turn.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/select.hpp>
#include <belay/tests/runtime/support.hpp>

#include <functional>
#include <utility>

namespace belay {
namespace {

using namespace test;

class SimulatedPolling : public Suite {};

/// Ends under each of many seeds, by priorities, on one worker and on two; and is repeated from its schedule.
void expect_ends(const std::function<task<>()>& program) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        simulation_options options{.seed = seed, .workers = 1 + static_cast<unsigned>(seed % 2), .how = interleaving::pct};
        auto print = [&] {
            simulation sim{options};
            EXPECT_NO_THROW(sim.block_on(program)) << "seed " << seed;
            options.replay = sim.made();
            return sim.fingerprint();
        };
        auto first = print();
        if (::testing::Test::HasFailure()) return;
        EXPECT_EQ(print(), first) << "seed " << seed;
    }
}

template <class F>
task<> wait_for_a_flag(F rest) {
    bool flag = false;
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> {
            co_await yield();
            flag = true;
        });
        while (!flag) co_await rest();
    });
}

TEST_F(SimulatedPolling, ByYieldEnds) {
    expect_ends([] { return wait_for_a_flag([] { return yield(); }); });
}

TEST_F(SimulatedPolling, ByCheckpointEnds) {
    expect_ends([] { return wait_for_a_flag([] { return checkpoint(); }); });
}

TEST_F(SimulatedPolling, OfAChannelEnds) {
    expect_ends([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(
                [](sender<int> to) -> task<> {
                    for (int i = 0; i < 20; ++i) co_await to.send(i);
                },
                std::move(tx));
            for (int expected = 0; expected < 20;) {
                auto got = rx.try_recv();
                if (got) {
                    EXPECT_EQ(*got, expected++);
                }
                co_await yield();
            }
        });
    });
}

TEST_F(SimulatedPolling, BySeveralTasksAtOnceEnds) {
    expect_ends([]() -> task<> {
        int turn = 0;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 5; ++i)
                s.spawn([&, i]() -> task<> {
                    while (turn != i) co_await yield();
                    ++turn;
                });
            co_return;
        });
    });
}

// Two tasks that wake each other are each never long in a row.
TEST_F(SimulatedPolling, ByTasksThatTakeTurnsEnds) {
    expect_ends([]() -> task<> {
        bool flag = false;
        event ping;
        event pong;
        auto play = [&](event& mine, event& other) -> task<> {
            while (!flag) {
                other.set();
                co_await mine.wait();
                mine.reset();
            }
            other.set();
        };
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await play(ping, pong); });
            s.spawn([&]() -> task<> { co_await play(pong, ping); });
            s.spawn([&]() -> task<> {
                for (int i = 0; i < 10; ++i) co_await yield();
                flag = true;
            });
            co_return;
        });
    });
}

// An arm that is always ready: the loop does not wait, and nobody says so.
TEST_F(SimulatedPolling, BySelectsWithAClosedChannelEnds) {
    expect_ends([]() -> task<> {
        auto [closed, never] = channel<int>(1);
        auto [tx, rx] = channel<int>(1);
        closed = sender<int>{std::move(tx)};  // the only sender of the first is gone
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(
                [](sender<int> to) -> task<> {
                    for (int i = 0; i < 5; ++i) {
                        co_await yield();
                        co_await to.send(i);
                    }
                },
                std::move(closed));
            for (bool open = true; open;) {
                auto won = co_await select(never.recv(), rx.recv(), sleep_for(10ms));
                if (won.index() == 1) open = won.get<1>().has_value();
            }
        });
    });
}

}  // namespace
}  // namespace belay
