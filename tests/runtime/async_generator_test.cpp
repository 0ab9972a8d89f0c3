#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class AsyncGenerator : public Suite {
protected:
    runtime rt{options()};
};

async_generator<int> count_to(int n) {
    for (int i = 1; i <= n; ++i) {
        if (i % 2 == 0) co_await yield();
        co_yield i;
    }
}

template <class T>
task<std::vector<T>> all_of(async_generator<T> from) {
    std::vector<T> out;
    while (auto item = co_await from.next()) out.push_back(std::move(*item));
    co_return out;
}

TEST_F(AsyncGenerator, YieldsItsItemsInOrderAndThenNothing) {
    rt.block_on([]() -> task<> {
        auto numbers = count_to(3);
        auto first = co_await numbers.next();
        static_assert(std::is_same_v<decltype(first), std::optional<int>>);
        EXPECT_EQ(first, 1);
        EXPECT_EQ(co_await numbers.next(), 2);
        EXPECT_EQ(co_await numbers.next(), 3);
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerator, RunsOnlyAsFarAsItIsAsked) {
    rt.block_on([]() -> task<> {
        event_log log;
        auto steps = [](event_log& to) -> async_generator<int> {
            to.add("begin");
            co_yield 1;
            to.add("middle");
            co_yield 2;
            to.add("end");
        }(log);
        EXPECT_EQ(log.text(), "");
        co_await steps.next();
        EXPECT_EQ(log.text(), "begin");
        co_await steps.next();
        EXPECT_EQ(log.text(), "begin, middle");
        co_await steps.next();
        EXPECT_EQ(log.text(), "begin, middle, end");
    });
}

TEST_F(AsyncGenerator, OneThatIsNeverAskedDoesNothing) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto unused = [](counted) -> async_generator<int> { co_yield 1; }(counted{live});
        EXPECT_EQ(live, 1);
        co_return;
    });
    EXPECT_EQ(live, 0);
}

TEST_F(AsyncGenerator, MovesWhatCannotBeCopied) {
    rt.block_on([]() -> task<> {
        auto owned = []() -> async_generator<std::unique_ptr<int>> {
            auto named = std::make_unique<int>(2);
            co_yield std::make_unique<int>(1);
            co_yield std::move(named);
            EXPECT_EQ(named, nullptr);
        };
        auto values = co_await all_of(owned());
        EXPECT_EQ(values.size(), 2U);
        EXPECT_EQ(*values.at(0), 1);
        EXPECT_EQ(*values.at(1), 2);
    });
}

TEST_F(AsyncGenerator, CopiesAYieldedLvalueAndConvertsWhatFits) {
    rt.block_on([]() -> task<> {
        auto words = []() -> async_generator<std::string> {
            std::string kept = "kept, and long enough to be on the heap";
            co_yield kept;
            EXPECT_EQ(kept, "kept, and long enough to be on the heap");
            co_yield "literal";
            co_yield {"xxx and more", 3};  // arguments of a constructor
        };
        auto got = co_await all_of(words());
        EXPECT_EQ(got, (std::vector<std::string>{"kept, and long enough to be on the heap", "literal", "xxx"}));
    });
}

TEST_F(AsyncGenerator, YieldsReferences) {
    rt.block_on([]() -> task<> {
        int number = 1;
        auto same = [](int& n) -> async_generator<int&> {
            co_yield n;
            EXPECT_EQ(n, 5);
        }(number);
        auto item = co_await same.next();
        static_assert(std::is_same_v<decltype(item), std::optional<std::reference_wrapper<int>>>);
        EXPECT_EQ(&item.value().get(), &number);
        item.value().get() = 5;
        EXPECT_FALSE(co_await same.next());

        auto temporary = []() -> async_generator<const std::string&> { co_yield "until the following next()"; }();
        auto text = co_await temporary.next();
        EXPECT_EQ(text.value().get(), "until the following next()");
    });
}

TEST_F(AsyncGenerator, AnErrorIsRethrownOnceAndThenItIsAtItsEnd) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto failing = [](counted) -> async_generator<int> {
            co_yield 1;
            co_await yield();
            throw std::runtime_error("generator");
        }(counted{live});
        EXPECT_EQ(co_await failing.next(), 1);
        EXPECT_THROW(co_await failing.next(), std::runtime_error);
        EXPECT_EQ(live, 0);  // its arguments have gone with it
        EXPECT_EQ(co_await failing.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerator, AnErrorBeforeTheFirstItemComesOutOfTheFirstNext) {
    rt.block_on([]() -> task<> {
        auto failing = []() -> async_generator<int> {
            throw std::runtime_error("at once");
            co_yield 1;
        }();
        EXPECT_THROW(co_await failing.next(), std::runtime_error);
        EXPECT_EQ(co_await failing.next(), std::nullopt);
    });
}

struct throws_when_moved {
    bool armed = false;
    explicit throws_when_moved(bool a) : armed{a} {}
    throws_when_moved(throws_when_moved&& other) : armed{other.armed} {
        if (armed) throw std::runtime_error("move");
    }
};

TEST_F(AsyncGenerator, AnItemWhoseMoveThrowsIsLostAndTheFollowingOneIsNot) {
    rt.block_on([]() -> task<> {
        auto items = []() -> async_generator<throws_when_moved> {
            co_yield throws_when_moved{true};
            co_yield throws_when_moved{false};
        }();
        EXPECT_THROW(co_await items.next(), std::runtime_error);
        EXPECT_TRUE((co_await items.next()).has_value());
        EXPECT_FALSE((co_await items.next()).has_value());
    });
}

TEST_F(AsyncGenerator, DestroyedHalfWayDestroysItsFrame) {
    event_log log;
    rt.block_on([&]() -> task<> {
        {
            auto half = [](event_log& to, logs_end) -> async_generator<int> {
                logs_end local{to, "local"};
                co_yield 1;
                ADD_FAILURE() << "went on";
            }(log, logs_end{log, "argument"});
            EXPECT_EQ(co_await half.next(), 1);
        }
        EXPECT_EQ(log.text(), "local, argument");
    });
}

TEST_F(AsyncGenerator, MovesBetweenItems) {
    rt.block_on([]() -> task<> {
        auto first = count_to(4);
        EXPECT_EQ(co_await first.next(), 1);
        auto second = std::move(first);
        EXPECT_EQ(co_await second.next(), 2);
        first = std::move(second);
        EXPECT_EQ(co_await first.next(), 3);
        EXPECT_EQ(co_await first.next(), 4);
        EXPECT_EQ(co_await first.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerator, BelongsToTheTaskThatAwaitsIt) {
    rt.block_on([]() -> task<> {
        auto ids = []() -> async_generator<std::uint64_t> {
            for (;;) {
                co_await yield();
                co_yield this_task::id();
            }
        }();
        EXPECT_EQ(co_await ids.next(), this_task::id());
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { EXPECT_EQ(co_await ids.next(), this_task::id()); });
            co_return;
        });
        EXPECT_EQ(co_await ids.next(), this_task::id());
        auto limits = []() -> async_generator<bool> {
            for (;;) co_yield this_task::deadline().has_value();
        }();
        EXPECT_EQ(co_await limits.next(), false);
        EXPECT_EQ(co_await timeout(1h, limits.next()), true);
        EXPECT_EQ(co_await limits.next(), false);
    });
}

TEST_F(AsyncGenerator, AStopInsideUnwindsTheGeneratorThenItsConsumer) {
    event_log log;
    rt.block_on([&]() -> task<> {
        gate shut;
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                logs_end consumer{log, "consumer"};
                auto inner = [](event_log& to, gate& g) -> async_generator<int> {
                    logs_end local{to, "inner"};
                    co_yield 1;
                    co_await g.wait();
                    ADD_FAILURE() << "went on after a stop";
                };
                auto outer = [](event_log& to, async_generator<int> from) -> async_generator<int> {
                    logs_end local{to, "outer"};
                    try {
                        while (auto item = co_await from.next()) co_yield *item;
                    } catch (...) {
                        ADD_FAILURE() << "a stop was caught";
                    }
                }(log, inner(log, shut));
                EXPECT_EQ(co_await outer.next(), 1);
                co_await outer.next();
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return shut.waiting() == 1; });
            s.request_stop();
        });
    });
    EXPECT_EQ(log.text(), "inner, outer, consumer");
}

TEST_F(AsyncGenerator, OneThatABoundaryStoppedThrowsTaskStoppedOnceAndIsThenAtItsEnd) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto stuck = [](counted) -> async_generator<int> {
            co_yield 1;
            co_await never();
        }(counted{live});
        EXPECT_EQ(co_await stuck.next(), 1);
        EXPECT_THROW(co_await timeout(1ms, stuck.next()), deadline_exceeded);
        EXPECT_EQ(live, 0);
        EXPECT_THROW(co_await stuck.next(), task_stopped);
        EXPECT_EQ(co_await stuck.next(), std::nullopt);
    });
}

TEST_F(AsyncGenerator, OneThatStandsAtAnItemOutlivesTheStopOfItsConsumer) {
    rt.block_on([]() -> task<> {
        auto numbers = count_to(3);
        co_await with_scope([&](scope& s) -> task<> {
            EXPECT_EQ(co_await numbers.next(), 1);
            s.request_stop();
            co_await yield();
            ADD_FAILURE() << "went on after a stop";
        });
        EXPECT_EQ(co_await numbers.next(), 2);
    });
}

TEST_F(AsyncGenerator, ADumpShowsItsFramesBelowThatOfItsConsumer) {
    rt.block_on([]() -> task<> {
        gate shut;
        detail::record* rec = nullptr;
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                rec = &co_await detail::open_scope{};
                auto inner = [](gate& g) -> async_generator<int> {
                    co_await g.wait();
                    co_yield 1;
                };
                auto outer = [](async_generator<int> from) -> async_generator<int> {
                    while (auto item = co_await from.next()) co_yield *item;
                }(inner(shut));
                EXPECT_EQ(co_await outer.next(), 1);
            });
            co_await until([&] { return shut.waiting() == 1; });
            task_snapshot seen;
            detail::snapshot_pinning(*rec, seen);
            EXPECT_STREQ(seen.waiting_on, "test::gate");
            EXPECT_EQ(seen.depth, 3U);
            EXPECT_EQ(seen.stack[0].line() + 4, seen.stack[1].line());  // g.wait() and from.next()
            EXPECT_EQ(seen.stack[1].line() + 2, seen.stack[2].line());  // outer.next()
            shut.open();
        });
    });
}

// Fairness: the loop neither keeps the worker for itself nor misses the stop.
TEST_F(AsyncGenerator, ALoopOverOneThatNeverSuspendsLetsOthersRunAndIsStopped) {
    runtime one{options(1)};
    bool ran = false;
    one.block_on([&]() -> task<> {
        auto endless = []() -> async_generator<int> {
            for (int i = 0;; ++i) co_yield i;
        }();
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                ran = true;
                s.request_stop();
                co_return;
            });
            while (co_await endless.next()) {}
        });
        EXPECT_TRUE((co_await endless.next()).has_value());  // the stop came between two items
    });
    EXPECT_TRUE(ran);
}

TEST_F(AsyncGenerator, AHundredThousandItemsNeedNoStack) {
    rt.block_on([]() -> task<> {
        auto plain = [](int n) -> async_generator<int> {
            for (int i = 0; i < n; ++i) co_yield i;
        };
        auto through = [](async_generator<int> from) -> async_generator<int> {
            while (auto item = co_await from.next()) co_yield *item;
        };
        long sum = 0;
        auto numbers = through(through(plain(100'000)));
        while (auto item = co_await numbers.next()) sum += *item;
        EXPECT_EQ(sum, 4'999'950'000L);
    });
}

async_generator<int> nested(int depth, gate& bottom) {
    if (depth > 0) {
        auto below = nested(depth - 1, bottom);
        while (auto item = co_await below.next()) co_yield *item + 1;
    } else {
        co_yield 0;
        co_await bottom.wait();
    }
}

TEST_F(AsyncGenerator, ADeepChainOfGeneratorsYieldsEndsAndIsUnwoundWithoutRecursion) {
    rt.block_on([]() -> task<> {
        constexpr int depth = 100'000;
        gate bottom;
        auto stopped = nested(depth, bottom);
        EXPECT_EQ(co_await stopped.next(), depth);
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await stopped.next();
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return bottom.waiting() == 1; });
            s.request_stop();
        });
        bottom.open();
        auto ended = nested(depth, bottom);
        EXPECT_EQ(co_await ended.next(), depth);
        EXPECT_EQ(co_await ended.next(), std::nullopt);
    });
}

// A stop that races with an item: the generator is unwound, or the item is delivered; nothing leaks or hangs.
TEST_F(AsyncGenerator, AStopAtAnyMomentEndsIt) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < 300; ++round) {
            gate between;
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    auto ticking = [](std::atomic<int>& l, gate& g) -> async_generator<counted> {
                        counted local{l};
                        for (;;) {
                            co_await g.wait();
                            co_yield counted{l};
                            co_await yield();
                        }
                    }(live, between);
                    while (auto item = co_await ticking.next()) co_await yield();
                });
                for (int i = 0; i < round % 7; ++i) {
                    between.release_one();
                    co_await yield();
                }
                s.request_stop();
                between.release_one();
            });
            EXPECT_EQ(live, 0);
        }
    });
}

using AsyncGeneratorDeathTest = AsyncGenerator;

TEST_F(AsyncGeneratorDeathTest, MisuseIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(rt.block_on([]() -> task<> {
        auto numbers = count_to(1);
        auto others = std::move(numbers);
        co_await numbers.next();
    }),
                 "moved from");
    runtime one_worker{options(1)};  // on two of them the misuse is a data race, too, which TSan would name first
    EXPECT_DEATH(one_worker.block_on([]() -> task<> {
        auto stuck = []() -> async_generator<int> {
            co_await never();
            co_yield 1;
        }();
        auto ask = [&]() -> task<> { co_await stuck.next(); };
        co_await when_all(ask(), ask());
    }),
                 "take turns");
}

}  // namespace
}  // namespace belay
