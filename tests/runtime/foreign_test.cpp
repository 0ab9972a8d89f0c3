// Awaiting what is not belay's: whatever thread resumes it, the task goes on on its own runtime.
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/foreign.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Foreign : public Suite {
protected:
    runtime rt{options()};
};

bool on_worker_of(runtime& rt) {
    auto* w = detail::this_worker();
    return w != nullptr && &w->core() == &rt.core();
}

TEST_F(Foreign, WhateverThreadResumesItTheTaskGoesOnOnItsOwnRuntime) {
    resumer other;
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < 200; ++i) {
            EXPECT_EQ((co_await other.elsewhere(i)), i);
            EXPECT_TRUE(on_worker_of(rt));
        }
    });
}

// The thread that resumed the last task may still be inside the runtime when that is destroyed.
TEST_F(Foreign, TheRuntimeMayEndBeforeTheThreadThatResumedItsLastTask) {
    resumer other;
    for (int i = 0; i < (sanitized ? 100 : 300); ++i) {
        runtime brief{options(1)};
        EXPECT_EQ(brief.block_on([&]() -> task<int> { co_return co_await other.elsewhere(i); }), i);
    }
}

TEST_F(Foreign, TheStandardsOwnAwaitablesWork) {
    rt.block_on([]() -> task<> { co_await std::suspend_never{}; });
}

struct suspends_not {
    static bool await_ready() noexcept { return false; }
    static bool await_suspend(std::coroutine_handle<>) noexcept { return false; }
    static std::string await_resume() { return "inline"; }
};
struct resumes_itself {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<> h) noexcept { h.resume(); }
    static int await_resume() noexcept { return 1; }
};
struct gives_its_handle_back {
    static bool await_ready() noexcept { return false; }
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) noexcept { return h; }
    static int await_resume() noexcept { return 2; }
};
struct throws_on_suspend {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<>) { throw std::runtime_error("refused"); }
    static void await_resume() noexcept {}
};
struct throws_on_ready {
    static bool await_ready() { throw std::runtime_error("not ready"); }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static void await_resume() noexcept {}
};
struct throws_on_resume {
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static int await_resume() { throw std::runtime_error("result"); }
};

TEST_F(Foreign, EveryFormOfAwaitSuspendWorks) {
    rt.block_on([]() -> task<> {
        EXPECT_EQ(co_await suspends_not{}, "inline");
        EXPECT_EQ(co_await resumes_itself{}, 1);
        EXPECT_EQ(co_await gives_its_handle_back{}, 2);
    });
}

TEST_F(Foreign, ExceptionsOfTheAwaitableArriveAtTheAwait) {
    rt.block_on([]() -> task<> {
        EXPECT_THROW(co_await throws_on_suspend{}, std::runtime_error);
        EXPECT_THROW(co_await throws_on_ready{}, std::runtime_error);
        EXPECT_THROW(co_await throws_on_resume{}, std::runtime_error);
    });
}

/// A coroutine type of another library.
struct other_task {
    struct promise_type {
        std::coroutine_handle<> continuation;
        int value = 0;
        other_task get_return_object() { return other_task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        struct final_awaiter {
            static bool await_ready() noexcept { return false; }
            static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
                return h.promise().continuation;
            }
            static void await_resume() noexcept {}
        };
        static final_awaiter final_suspend() noexcept { return {}; }
        void return_value(int v) noexcept { value = v; }
        [[noreturn]] static void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> h;
    explicit other_task(std::coroutine_handle<promise_type> handle) : h{handle} {}
    other_task(other_task&& o) noexcept : h{std::exchange(o.h, {})} {}
    ~other_task() {
        if (h) h.destroy();
    }
    auto operator co_await() {
        struct awaiter {
            std::coroutine_handle<promise_type> h;
            static bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> c) const noexcept {
                h.promise().continuation = c;
                return h;
            }
            [[nodiscard]] int await_resume() const noexcept { return h.promise().value; }
        };
        return awaiter{h};
    }
};

other_task foreign_coroutine(resumer& other, int n) {
    int v = co_await other.elsewhere(n);
    co_return v + 1;
}

TEST_F(Foreign, CoroutinesOfOtherLibrariesCanBeAwaited) {
    resumer other;
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < 20; ++i) EXPECT_EQ(co_await foreign_coroutine(other, i), i + 1);
    });
}

struct has_free_operator {
    int n;
};
auto operator co_await(has_free_operator x) {
    struct awaiter {
        int n;
        static bool await_ready() noexcept { return true; }
        static void await_suspend(std::coroutine_handle<>) noexcept {}
        [[nodiscard]] int await_resume() const noexcept { return n; }
    };
    return awaiter{x.n};
}

TEST_F(Foreign, AFreeOperatorCoAwaitIsFoundAndBranchesTakeForeignAwaitables) {
    rt.block_on([]() -> task<> {
        EXPECT_EQ(co_await has_free_operator{5}, 5);
        auto won = co_await when_any(has_free_operator{6}, never());
        EXPECT_EQ(std::get<0>(won.values), 6);
    });
}

/// Handed to the test, which decides when it is resumed.
struct parked {
    std::atomic<void*>& where;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { where = h.address(); }
    static int await_resume() noexcept { return 7; }
};

// It cannot be stopped: the task waits for it, gets its value, and stops at its next own suspension.
TEST_F(Foreign, AStopWaitsForItAndTakesEffectAtTheNextSuspension) {
    std::atomic<void*> where{nullptr};
    std::atomic<bool> delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                delivered = co_await parked{where} == 7;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_await until([&] { return where.load() != nullptr; });
            s.request_stop();
            EXPECT_EQ(s.size(), 1U);
            EXPECT_FALSE(delivered);
            std::coroutine_handle<>::from_address(where).resume();
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(Foreign, InAStoppedScopeItIsNotBegun) {
    std::atomic<void*> where{nullptr};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await parked{where};
        });
    });
    EXPECT_EQ(where.load(), nullptr);
}

}  // namespace
}  // namespace belay
