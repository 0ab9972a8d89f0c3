// Promise 2 (one of value, error, stopped), the stack-free chain of awaits, and what a result may be.
#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Task : public Suite {
protected:
    runtime rt{options()};
};

constexpr int deep = 100'000;

task<int> give(int n) { co_return n; }
task<> nothing() { co_return; }
task<int> fail(std::string why) {
    throw std::runtime_error(why);
    co_return 0;
}

TEST_F(Task, IsLazyAndRunsWhenItIsAwaited) {
    bool ran = false;
    auto work = [&]() -> task<> {
        ran = true;
        co_return;
    };
    rt.block_on([&]() -> task<> {
        task<> t = work();
        EXPECT_FALSE(ran);
        EXPECT_TRUE(t.valid());
        co_await std::move(t);
        EXPECT_FALSE(t.valid());  // NOLINT(bugprone-use-after-move)
        EXPECT_TRUE(ran);
    });
}

TEST_F(Task, ReturnsItsValueThroughAnyNumberOfAwaits) {
    auto twice = [](int n) -> task<int> { co_return 2 * co_await give(n); };
    EXPECT_EQ(rt.block_on([&]() -> task<int> { co_return co_await twice(20) + co_await twice(1); }), 42);
}

TEST_F(Task, RethrowsItsErrorWhereItIsAwaited) {
    rt.block_on([]() -> task<> {
        try {
            co_await fail("here");
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error& e) {
            EXPECT_STREQ(e.what(), "here");
        }
        EXPECT_EQ(co_await give(1), 1);  // the task is as good as before
    });
}

TEST_F(Task, MoveOnlyResultsAreMovedOut) {
    auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
    auto p = rt.block_on([&]() -> task<std::unique_ptr<int>> {
        auto inner = co_await make(7);
        ++*inner;
        co_return inner;
    });
    EXPECT_EQ(*p, 8);
}

TEST_F(Task, ReferenceResultsReferToTheObjectItself) {
    int n = 1;
    auto ref = [&]() -> task<int&> { co_return n; };
    auto cref = [&]() -> task<const int&> { co_return n; };
    rt.block_on([&]() -> task<> {
        int& r = co_await ref();
        r = 5;
        EXPECT_EQ(&co_await cref(), &n);
    });
    EXPECT_EQ(n, 5);
}

struct alignas(64) wide {
    int n = 0;
    explicit wide(int value) : n{value} {}
    [[nodiscard]] bool aligned() const { return reinterpret_cast<std::uintptr_t>(this) % 64 == 0; }
};

TEST_F(Task, OverAlignedResultsArriveAligned) {
    auto make = [](int n) -> task<wide> { co_return wide{n}; };
    wide w = rt.block_on(make(3));
    EXPECT_EQ(w.n, 3);
    EXPECT_TRUE(w.aligned());
    rt.block_on([&]() -> task<> {
        EXPECT_EQ((co_await make(4)).n, 4);
        co_await with_scope([&](scope& s) -> task<> { EXPECT_EQ((co_await s.spawn(make, 5).join()).n, 5); });
    });
}

struct alignas(256) very_wide {
    [[nodiscard]] bool aligned() const { return reinterpret_cast<std::uintptr_t>(this) % 256 == 0; }
};

TEST_F(Task, OverAlignedCapturesAreAligned) {
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 8; ++i) {
            s.spawn([captured = very_wide{}]() -> task<> {
                EXPECT_TRUE(captured.aligned());
                co_return;
            });
        }
        co_return;
    }));
}

struct throws_when_made {
    explicit throws_when_made(int) { throw std::logic_error("constructor"); }
    throws_when_made(const throws_when_made&) = default;
};

TEST_F(Task, AResultWhoseConstructorThrowsIsAnError) {
    auto make = []() -> task<throws_when_made> { co_return 1; };
    EXPECT_THROW(rt.block_on(make()), std::logic_error);
}

struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(const throws_when_copied&) { throw std::logic_error("copy"); }
};

TEST_F(Task, AResultWhoseCopyThrowsOnTheWayIsAnError) {
    throws_when_copied value;
    auto make = [&]() -> task<throws_when_copied> { co_return value; };
    EXPECT_THROW(rt.block_on(make()), std::logic_error);
}

struct throws_at_the_end {
    ~throws_at_the_end() noexcept(false) { throw std::logic_error("destructor"); }
};

TEST_F(Task, ALocalWhoseDestructorThrowsAfterTheResultReplacesTheResult) {
    std::atomic<int> live{0};
    auto make = [&]() -> task<counted> {
        throws_at_the_end last;
        co_return counted{live};
    };
    EXPECT_THROW(rt.block_on(make()), std::logic_error);
    EXPECT_EQ(live, 0);  // the value that was set before is not leaked
}

TEST_F(Task, FramesOfAValueEndBeforeTheAwaitReturns) {
    event_log log;
    auto inner = [&]() -> task<> {
        logs_end l{log, "inner"};
        co_return;
    };
    auto outer = [&]() -> task<> {
        logs_end l{log, "outer"};
        co_await inner();
        log.add("after inner");
    };
    rt.block_on(outer());
    EXPECT_EQ(log.text(), "inner, after inner, outer");
}

// Promise 3: a stop destroys frames from leaf to root and no handler sees it.
TEST_F(Task, AStopDestroysFramesFromLeafToRootAndNoCatchSeesIt) {
    event_log log;
    gate shut;
    auto leaf = [&](logs_end) -> task<> {
        logs_end local{log, "leaf local"};
        co_await shut.wait();
        log.add("leaf went on");
    };
    auto middle = [&]() -> task<> {
        logs_end local{log, "middle local"};
        try {
            co_await leaf(logs_end{log, "leaf argument"});
        } catch (...) {
            log.add("caught");
        }
        log.add("middle went on");
    };
    auto root = [&]() -> task<> {
        logs_end local{log, "root local"};
        co_await middle();
        log.add("root went on");
    };
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(root);
            co_await until([&] { return shut.waiting() == 1; });
            s.request_stop();
        });
    });
    EXPECT_EQ(log.text(), "leaf local, leaf argument, middle local, root local");
}

// `co_await std::move(t)`: what was declared after t is used by t and must not die before it.
TEST_F(Task, AnAwaitedTaskDiesBeforeTheLocalsThatItMayUse) {
    event_log log;
    gate shut;
    auto user = [&](const logs_end&) -> task<> {
        logs_end local{log, "task"};
        co_await shut.wait();
    };
    auto root = [&]() -> task<> {
        auto t = never();
        logs_end declared_later{log, "local"};
        t = user(declared_later);
        co_await std::move(t);
    };
    captured_reports quiet;  // the first value of t is never awaited
    runtime tolerant{{.workers = 1, .name = "tolerant", .guardrails = "stall=off,await=off"}};
    tolerant.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(root);
            co_await until([&] { return shut.waiting() == 1; });
            s.request_stop();
        });
    });
    EXPECT_EQ(log.text(), "task, local");
}

// ---- depth: no stack is used per await, in debug builds either -----------------------------------------------------

task<int> count_down(int n) {
    if (n == 0) co_return 0;
    co_return 1 + co_await count_down(n - 1);
}

TEST_F(Task, AChainOfAHundredThousandAwaitsReturnsAValue) { EXPECT_EQ(rt.block_on(count_down(deep)), deep); }

task<int> fail_at(int n) {
    if (n == 0) throw std::runtime_error("bottom");
    co_return co_await fail_at(n - 1);
}

TEST_F(Task, AChainOfAHundredThousandAwaitsPassesAnErrorUp) { EXPECT_THROW(rt.block_on(fail_at(deep)), std::runtime_error); }

task<> wait_at(int n, gate& shut, std::atomic<int>& live) {
    counted here{live};
    if (n == 0) {
        co_await shut.wait();
    } else {
        co_await wait_at(n - 1, shut, live);
    }
    ADD_FAILURE() << "went on after a stop";
}

TEST_F(Task, AChainOfAHundredThousandAwaitsUnwindsOnAStop) {
    gate shut;
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(wait_at, deep, std::ref(shut), std::ref(live));
            co_await until([&] { return shut.waiting() == 1; });
            EXPECT_EQ(live, deep + 1);
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Task, ALoopOfAMillionAwaitsNeedsNoStack) {
    rt.block_on([]() -> task<> {
        for (int i = 0; i < (sanitized ? 100'000 : 1'000'000); ++i) co_await nothing();
    });
}

TEST_F(Task, ScopesNestTenThousandDeep) {
    struct recursion {
        static task<int> go(int n) {
            if (n == 0) co_return 0;
            co_return 1 + co_await with_scope([n](scope&) { return go(n - 1); });
        }
        static task<> wait(int n, gate& shut) {
            if (n == 0) {
                co_await shut.wait();
            } else {
                co_await with_scope([n, &shut](scope&) { return wait(n - 1, shut); });
            }
        }
    };
    EXPECT_EQ(rt.block_on(recursion::go(10'000)), 10'000);
    gate shut;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(recursion::wait, 10'000, std::ref(shut));
            co_await until([&] { return shut.waiting() == 1; });
            s.request_stop();
        });
    });
}

// ---- misuse ----------------------------------------------------------------------------------------------------

using TaskDeathTest = Task;

TEST_F(TaskDeathTest, AwaitingATaskTwiceIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(rt.block_on([]() -> task<> {
        auto t = nothing();
        co_await std::move(t);
        co_await std::move(t);  // NOLINT(bugprone-use-after-move)
    }),
                 "MISUSE: a task was awaited twice");
}

TEST_F(Task, ATaskThatIsDestroyedBeforeItRanIsReported) {
    captured_reports captured;
    runtime tolerant{{.workers = 1, .name = "tolerant", .guardrails = "stall=off,await=log"}};
    tolerant.block_on([]() -> task<> {
        { auto forgotten = nothing(); }
        co_return;
    });
    EXPECT_EQ(captured.sink->of(guardrail::never_awaited).size(), 1U);
}

TEST_F(Task, ATaskThatAStopKeptFromRunningIsNotReported) {
    captured_reports captured;
    rt.block_on([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            s.request_stop();
            co_await when_any(nothing(), nothing());  // both were made and neither runs
        });
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

}  // namespace
}  // namespace belay
