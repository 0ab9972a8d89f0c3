// belay::shield: a stop from outside waits, for at most the grace.
#include <belay/belay.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>

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
