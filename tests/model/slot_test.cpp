// The slot of a task: an operation ends once, its task goes on once, and not while a stopper is inside the operation.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#include <belay/runtime/detail/pinned_queue.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/stop_walk.hpp>
#include <belay/runtime/operation.hpp>
#undef atomic

#include <belay/tests/model/slot_world.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace belay::detail {
namespace {

TEST(ModelSlot, ACompletionAndAStopEndAnOperationOnce) {
    auto result = model::explore({.preemptions = 4}, [](model::run& r) {
        auto w = std::make_shared<world>();
        r.thread([=] { w->op.suspend(w->rec); });
        r.thread([=] { w->op.grant(); });
        r.thread([=] { w->stop(); });
        // Stopped, it has been queued in any case; by a value at most.
        r.at_end([=]() -> std::string { return w->rec.queued == 1 ? "" : "a task that was stopped waits for ever"; });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

TEST(ModelSlot, TwoStopsOfOneNodeAreOne) {
    auto result = model::explore({.preemptions = 3}, [](model::run& r) {
        auto w = std::make_shared<world>();
        r.thread([=] { w->op.suspend(w->rec); });
        r.thread([=] { w->stop(); });
        r.thread([=] { w->stop(); });
        r.at_end([=]() -> std::string { return w->rec.queued == 1 ? "" : "a task that was stopped waits for ever"; });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

TEST(ModelSlot, WhatIsPutIntoAPinnedQueueIsPoppedOnceInItsOrder) {
    auto result = model::explore({.preemptions = 3, .delays = 1}, [](model::run& r) {
        struct shared {
            stop_node node;
            task a{node}, b{node}, c{node};
            pinned_queue queue;
            std::string order;
            void pop() {
                record* one = queue.pop();
                if (one != nullptr) order += one == &a ? 'a' : one == &b ? 'b' : 'c';
            }
        };
        auto s = std::make_shared<shared>();
        r.thread([=] {
            s->queue.put(s->a);
            s->queue.put(s->b);
        });
        r.thread([=] {
            s->queue.push(s->c);
            for (int i = 0; i < 3; ++i) s->pop();
        });
        r.at_end([=]() -> std::string {
            for (int i = 0; i < 3; ++i) s->pop();
            return s->order == "abc" || s->order == "acb" || s->order == "cab" ? "" : "popped: " + s->order;
        });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

TEST(ModelSlot, ASpinLockLetsOneIn) {
    auto result = model::explore({.preemptions = 2, .delays = 1}, [](model::run& r) {
        struct shared {
            spin_lock lock;
            std::model_atomic<int> inside{0};
            int visits = 0;
        };
        auto s = std::make_shared<shared>();
        for (int i = 0; i < 2; ++i) {
            r.thread([=] {
                s->lock.lock();
                model::require(s->inside.fetch_add(1) == 0, "two are inside");
                ++s->visits;
                s->inside.fetch_sub(1);
                s->lock.unlock();
            });
        }
        r.at_end([=]() -> std::string { return s->visits == 2 ? "" : "somebody was kept out"; });
    });
    EXPECT_EQ(result.failure, "");
}

}  // namespace
}  // namespace belay::detail
