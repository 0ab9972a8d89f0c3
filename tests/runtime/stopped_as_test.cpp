#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stopped_as.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class StoppedAs : public Suite {
protected:
    runtime rt{options()};
};

struct too_bad : std::runtime_error {
    using std::runtime_error::runtime_error;
};

task<int> never_a_number() {
    co_await never();
    co_return 1;
}

TEST_F(StoppedAs, AValueIsDelivered) {
    int n = 3;
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await stopped_as_optional([]() -> task<int> { co_return 3; }()), std::optional<int>(3));
        EXPECT_TRUE(co_await stopped_as_optional(yield()));
        auto ref = co_await stopped_as_optional([&]() -> task<int&> { co_return n; }());
        EXPECT_EQ(&ref->get(), &n);
        auto p = co_await stopped_as_optional([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }());
        EXPECT_EQ(**p, 4);
        EXPECT_EQ(co_await stopped_as_error([]() -> task<int> { co_return 3; }()), 3);
        EXPECT_EQ(co_await stopped_as_error([]() -> task<int> { co_return 3; }(), too_bad("no")), 3);
        co_await stopped_as_error(yield());
        co_await stopped_as_error(yield(), too_bad("no"));
    });
}

TEST_F(StoppedAs, ErrorsAndDeadlinesAreNoStops) {
    rt.block_on([&]() -> task<> {
        auto fail = []() -> task<int> { throw std::out_of_range("work"); };
        EXPECT_THROW((void)co_await stopped_as_optional(fail()), std::out_of_range);
        EXPECT_THROW(co_await stopped_as_error(fail(), too_bad("no")), std::out_of_range);
        EXPECT_THROW((void)co_await stopped_as_optional(timeout(1ms, never())), deadline_exceeded);
        EXPECT_THROW(co_await stopped_as_error(timeout(1ms, never())), deadline_exceeded);
    });
}

TEST_F(StoppedAs, ADeadlineAroundItIsExceeded) {
    rt.block_on([&]() -> task<> {
        EXPECT_FALSE(co_await try_timeout(1ms, stopped_as_error(never())));
        EXPECT_THROW(co_await timeout(1ms, stopped_as_error(never())), deadline_exceeded);
        EXPECT_EQ(co_await try_timeout(1ms, stopped_as_error(never_a_number())), std::nullopt);
    });
}

TEST_F(StoppedAs, AStopThatStayedInsideTheWorkIsAnAnswerAndTheCallerGoesOn) {
    bool went_on = false;
    rt.block_on([&]() -> task<> {
        auto stops_itself = []() {
            return with_scope([](scope& s) -> task<int> {
                s.request_stop();
                co_return co_await never_a_number();
            });
        };
        EXPECT_EQ(co_await stopped_as_optional(stops_itself()), std::nullopt);
        EXPECT_THROW(co_await stopped_as_error(stops_itself()), task_stopped);
        EXPECT_THROW(co_await stopped_as_error(stops_itself(), too_bad("no")), too_bad);
        co_await with_scope([](scope& s) -> task<> {
            auto victim = s.spawn(never);
            victim.request_stop();
            EXPECT_FALSE(co_await stopped_as_optional(victim.join()));
        });
        // Without a value a scope that stops itself has ended well.
        EXPECT_TRUE(co_await stopped_as_optional(with_scope([](scope& s) -> task<> {
            s.request_stop();
            co_await never();
        })));
        co_await yield();
        went_on = true;
    });
    EXPECT_TRUE(went_on);
}

// Level-triggered: the answer may be looked at, but nothing more is awaited.
TEST_F(StoppedAs, AStopOfAnEnclosingScopeIsAnAnswerUntilTheNextSuspension) {
    std::atomic<int> begun{0};
    std::atomic<int> answers{0};
    auto wait = [&]() -> task<> {
        ++begun;
        co_await never();
    };
    auto wait_for_a_number = [&]() -> task<int> {
        ++begun;
        co_return co_await never_a_number();
    };
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto in_the_answer = [&](int kind) -> task<> {
                if (kind == 0) {
                    EXPECT_EQ(co_await stopped_as_optional(wait_for_a_number()), std::nullopt);
                } else if (kind == 1) {
                    EXPECT_FALSE(co_await stopped_as_optional(wait()));
                } else if (kind == 2) {
                    EXPECT_THROW(co_await stopped_as_error(wait()), task_stopped);
                } else {
                    EXPECT_THROW(co_await stopped_as_error(wait_for_a_number(), too_bad("stopped")), too_bad);
                }
                ++answers;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            };
            for (int kind = 0; kind < 4; ++kind) s.spawn(in_the_answer, kind);
            co_await until([&] { return begun == 4; });
            s.request_stop();
        });
    });
    EXPECT_EQ(answers, 4);
}

TEST_F(StoppedAs, ALoopCannotSwallowAStop) {
    gate begun;
    std::atomic<int> turns{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto stubborn = s.spawn([&]() -> task<> {
                for (;;) {
                    begun.open();
                    (void)co_await stopped_as_optional(never());
                    ++turns;
                }
            });
            co_await begun.wait();
            co_await yield();
            stubborn.request_stop();
            EXPECT_FALSE(co_await stubborn.join_optional());
        });
    });
    EXPECT_LE(turns, 1);  // none if the stop came before the first await had begun
}

TEST_F(StoppedAs, InAStoppedScopeTheWorkNeverBegins) {
    bool began = false;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            (void)co_await stopped_as_optional([&]() -> task<> {
                began = true;
                co_return;
            }());
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
    EXPECT_FALSE(began);
}

TEST_F(StoppedAs, NestedEachIsAnAnswerOfItsOwn) {
    gate begun;
    std::atomic<bool> outer_answered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto inner = [&]() -> task<int> {
                    begun.open();
                    EXPECT_EQ(co_await stopped_as_optional(never_a_number()), std::nullopt);
                    co_await yield();  // stops here
                    co_return 1;
                };
                EXPECT_EQ(co_await stopped_as_optional(inner()), std::nullopt);
                outer_answered = true;
            });
            co_await begun.wait();
            for (int i = 0; i < 20; ++i) co_await yield();
            s.request_stop();
        });
    });
    EXPECT_TRUE(outer_answered);
}

}  // namespace
}  // namespace belay
