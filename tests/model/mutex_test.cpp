// The mutex itself, and the word that it shares with strands: one holder at a time, and nobody who waits is forgotten.
#include <belay/runtime/detail/lock_order.hpp>  // with real atomics: it is off, and no part of the protocol
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#include <belay/runtime/detail/lock_word.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/stop_walk.hpp>
#include <belay/runtime/operation.hpp>
#include <belay/sync/mutex.hpp>
#undef atomic

#include <belay/tests/model/slot_world.hpp>

#include <gtest/gtest.h>

#include <array>
#include <coroutine>
#include <deque>
#include <memory>
#include <string>

namespace belay::detail {

// None of the waiters here is an arm of a select.
bool selection::claim(unsigned) noexcept { return true; }
void selection::granted() noexcept {}

// The order of locks is not watched.
void order_tag::forget() noexcept {}
void order_taking(order_tag&, const void*, std::source_location) noexcept {}
void order_locked(order_tag&, const void*, std::source_location) noexcept {}
void order_unlocked(order_tag&) noexcept {}
std::source_location await_site() noexcept { return {}; }

namespace {

/// A task that locks, is alone, and unlocks.
struct locker {
    stop_node node;
    task rec{node};
    promise_base promise{std::source_location::current()};
    bool locked = false;

    locker() { promise.rec = &rec; }
    void run(mutex& m, int& inside) {
        mutex_guard guard = m.try_lock();
        if (!guard.owns_lock()) {
            mutex_awaiter waiting{m};
            if (waiting.await_suspend(std::coroutine_handle<promise_base>::from_promise(promise))) {
                model::wait_until([this] { return rec.queued != 0; });
                if (rec.is_stopped()) return;
            }
            guard = waiting.await_resume();
        }
        locked = true;
        model::require(++inside == 1, "two hold the mutex");
        model::detail::point();
        --inside;
    }
    void stop() {
        stop_walk walk;
        if (!node.mark(stop_reason::requested)) return;
        walk.add(rec);
        walk.run();
    }
};

struct lockers {
    mutex m;
    std::array<locker, 3> all;
    int inside = 0;
    std::string at_end(std::size_t begun, bool stopped = false) {
        for (std::size_t i = 0; i < begun; ++i)
            if (!all[i].locked && !(stopped && i == 1)) return "one has never got it";
        return m.try_lock().owns_lock() ? "" : "it is locked by nobody";
    }
};

TEST(ModelMutex, ThreeLockOneAfterTheOther) {
    auto result = model::explore({.preemptions = 2, .delays = 0}, [](model::run& r) {
        auto w = std::make_shared<lockers>();
        for (auto& one : w->all) r.thread([w, &one] { one.run(w->m, w->inside); });
        r.at_end([=] { return w->at_end(3); });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
    EXPECT_GT(result.runs, 500U);
}

TEST(ModelMutex, AWaiterMayBeStoppedWhileItIsHandedOver) {
    auto result = model::explore({.preemptions = 2, .delays = 1}, [](model::run& r) {
        auto w = std::make_shared<lockers>();
        for (std::size_t i = 0; i < 2; ++i) r.thread([w, i] { w->all[i].run(w->m, w->inside); });
        r.thread([=] { w->all[1].stop(); });
        r.at_end([=] { return w->at_end(2, true); });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
    EXPECT_GT(result.runs, 500U);
}

/// As a strand uses the word: whoever holds it runs what waits, one after the other, and lets go when nobody is left.
struct strand {
    struct job {
        bool done = false;
    };
    lock_word word;
    spin_lock lock;
    std::deque<job*> queue;
    int inside = 0;

    void execute(job& j) {
        model::require(++inside == 1, "two functions run at once");
        model::detail::point();
        --inside;
        j.done = true;
    }
    job* next() {
        std::scoped_lock guard(lock);
        if (queue.empty()) {
            word.release();
            return nullptr;
        }
        job* first = queue.front();
        queue.pop_front();
        if (queue.empty()) word.hand_over_to_last();
        return first;
    }
    void run(job& mine) {
        if (!word.try_acquire()) {
            std::scoped_lock guard(lock);
            if (!word.acquire_or_announce()) return queue.push_back(&mine);
        }
        execute(mine);
        if (word.release_if_alone()) return;
        while (job* other = next()) execute(*other);
    }
};

TEST(ModelLockWord, WhatWaitsAtAStrandIsRunOnce) {
    auto result = model::explore({.preemptions = 2, .delays = 1}, [](model::run& r) {
        struct shared {
            strand s;
            std::array<strand::job, 3> jobs;
        };
        auto w = std::make_shared<shared>();
        for (auto& j : w->jobs) r.thread([w, &j] { w->s.run(j); });
        r.at_end([=]() -> std::string {
            for (auto& j : w->jobs)
                if (!j.done) return "a function was forgotten";
            return w->s.word.is_free() ? "" : "the strand is held by nobody";
        });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
    EXPECT_GT(result.runs, 500U);
}

}  // namespace
}  // namespace belay::detail
