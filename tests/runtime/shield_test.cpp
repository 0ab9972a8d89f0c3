// belay::shield: a stop from outside waits, for at most the grace.
#include <belay/belay.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using belay::task;

namespace {

task<> forever() {
    for (;;) co_await belay::sleep_for(1h);
}

TEST(Shield, WorkThatIsUnderWayIsNotCutShort) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        bool finished = false;
        bool went_on = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            s.spawn(
                [&](belay::receiver<int> mine) -> task<> {
                    co_await belay::shield([](belay::receiver<int>& r, bool& done) -> task<> {
                        EXPECT_EQ(co_await r.recv(), 7);
                        done = true;
                    }(mine, finished));
                    co_await belay::checkpoint();  // the stop waits here
                    went_on = true;
                },
                std::move(rx));
            for (int i = 0; i < 3; ++i) co_await belay::yield();
            s.request_stop();
            co_await belay::shield([](belay::sender<int> t) -> task<> { (void)co_await t.send(7); }(std::move(tx)));
        });
        EXPECT_TRUE(finished);
        EXPECT_FALSE(went_on);
    });
}

TEST(Shield, BeginsEvenWhenTheScopeIsStoppedAlready) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        int ran = 0;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.request_stop();
            co_await belay::shield([](int& n) -> task<> {
                co_await belay::sleep_for(1ms);
                n = 1;
            }(ran));
            ++ran;
            co_await belay::yield();
            ran = 100;
        });
        EXPECT_EQ(ran, 2);
    });
}

TEST(Shield, ItsGraceBeginsWithTheStopAndEndsTheWork) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            s.spawn([]() -> task<> { co_await belay::shield(forever(), 5ms); });
            co_await belay::sleep_for(1ms);
            s.request_stop();
        });
    });
}

TEST(Shield, DeadlinesFromOutsideDoNotReachInside) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        bool had_deadline = true;
        co_await belay::timeout(1h, [](bool& had) -> task<> {
            EXPECT_TRUE(belay::this_task::deadline().has_value());
            co_await belay::shield([](bool& h) -> task<> {
                h = belay::this_task::deadline().has_value();
                co_return;
            }(had));
        }(had_deadline));
        EXPECT_FALSE(had_deadline);
    });
}

TEST(Shield, ValuesAndErrorsPassThrough) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        EXPECT_EQ(co_await belay::shield([]() -> task<std::string> { co_return "kept"; }()), "kept");
        EXPECT_THROW(co_await belay::shield([]() -> task<> {
                         throw std::runtime_error("lost");
                         co_return;
                     }()),
                     std::runtime_error);
    });
}

TEST(Shield, WorkThatOverrunsIsStoppedForThatReasonAndTheCallerStops) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        belay::stop_reason seen = belay::stop_reason::none;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.request_stop();
            co_await belay::shield(
                [](belay::stop_reason& out) -> task<> {
                    // In a scope of its own: the reason is handed down.
                    co_await belay::with_scope([&](belay::scope&) -> task<> {
                        while (!belay::this_task::stop_requested()) std::this_thread::yield();
                        out = belay::this_task::stop_reason();
                        co_await belay::yield();
                    });
                }(seen),
                2ms);
            ADD_FAILURE() << "went on after an overrun";
        });
        EXPECT_EQ(seen, belay::stop_reason::cleanup_overrun);
    });
}

// Of nested shields the shortest grace counts, whichever one it is and whenever they begin. A test would hang for hours if not.
TEST(Shield, InsideAShieldHasNoMoreThanTheOneAroundIt) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        auto outer = [](auto inner) { return belay::shield(inner(), 3ms); };
        auto in_the_stopped = [&]() -> task<> { co_await belay::shield(forever(), 2h); };
        auto in_a_scope = [&]() -> task<> {
            co_await belay::with_scope([](belay::scope& s) -> task<> {
                s.spawn([]() -> task<> { co_await belay::shield(belay::shield(forever(), 3h), 2h); });
                co_return;
            });
        };
        auto begun_after_the_grace = []() -> task<> {
            while (!belay::this_task::stop_requested()) std::this_thread::yield();
            co_await belay::shield(forever(), 2h);
        };
        auto stopped_twice = []() -> task<> {
            co_await belay::with_scope([](belay::scope& s) -> task<> {
                s.request_stop();  // its long grace runs already when the shorter one around it begins
                co_await belay::shield(forever(), 2h);
            });
        };
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await outer(in_the_stopped); });
            s.spawn([&]() -> task<> { co_await outer(in_a_scope); });
            s.spawn([&]() -> task<> { co_await outer(begun_after_the_grace); });
            s.spawn([&]() -> task<> { co_await outer(stopped_twice); });
            for (int i = 0; i < 20; ++i) co_await belay::yield();
            s.request_stop();
        });
    });
}

TEST(Shield, InsideAShieldWithMoreTimeEndsWithItsOwnGraceAndTheWorkAroundItGoesOn) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        bool went_on = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto handle = s.spawn([&]() -> task<> {
                co_await belay::shield(
                    [](bool& on) -> task<> {
                        auto inner = []() -> task<> { co_await belay::shield(forever(), 2ms); };
                        auto handled = [&]() -> task<> {
                            EXPECT_FALSE(co_await belay::stopped_as_optional(inner()));
                            on = true;
                        };
                        co_await handled();
                    }(went_on),
                    2h);
            });
            for (int i = 0; i < 20; ++i) co_await belay::yield();
            s.request_stop();
        });
        EXPECT_TRUE(went_on);
    });
}

// The end of the shield, the stop and the grace race each other.
TEST(Shield, EndsOnceWhateverComesFirst) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        for (int i = 0; i < 500; ++i) {
            try {
                co_await belay::with_scope([i](belay::scope& s) -> task<> {
                    s.spawn([i]() -> task<> { co_await belay::shield(belay::sleep_for(std::chrono::microseconds(i)), 200us); });
                    s.spawn(
                        [](int n) -> task<> {
                            for (int k = 0; k < n % 7; ++k) co_await belay::yield();
                            throw std::runtime_error("stop the others");
                        },
                        i);
                    co_await forever();
                });
                ADD_FAILURE() << "the error was lost";
            } catch (const std::runtime_error& e) {
                EXPECT_STREQ(e.what(), "stop the others");
            }
        }
    });
}

}  // namespace
