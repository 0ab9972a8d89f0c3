// Sleeping and waking: whoever makes work ready, a worker that has just gone to sleep hears of it. The set of sleepers is the runtime's own;
// the steps around it are those of worker::park(), runtime_core::inject(), notify_one() and rouse(), one by one.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#include <belay/runtime/detail/idle_set.hpp>
#undef atomic

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

namespace {

template <class T>
using cell = std::model_atomic<T>;

struct runtime {
    belay::detail::idle_set idle;
    cell<int> injected{0};
    cell<int> searching{0};
    std::array<cell<int>, 2> own{0, 0};  // what waits in each worker's own queue, where thieves find it
    std::array<cell<bool>, 2> woken{false, false};
    int done = 0;
    int meet = 0;  // so many polls have to be under way at a time before any of them ends

    // ---- who makes work ready
    void notify_one() {
        for (;;) {
            if (searching.load(std::memory_order_seq_cst) != 0) return;
            searching.fetch_add(1, std::memory_order_seq_cst);
            int index = idle.claim();
            if (index >= 0) return woken[static_cast<std::size_t>(index)].store(true);
            searching.fetch_sub(1, std::memory_order_seq_cst);
            if (injected.load(std::memory_order_seq_cst) == 0 || !idle.any()) return;
        }
    }
    void inject() {
        injected.fetch_add(1, std::memory_order_seq_cst);
        notify_one();
    }

    // ---- a worker
    bool take(cell<int>& from) {
        int there = from.load(std::memory_order_relaxed);
        while (there > 0)
            if (from.compare_exchange_strong(there, there - 1)) return ++done, true;
        return false;
    }
    [[nodiscard]] bool any_queued() const { return own[0].load() > 0 || own[1].load() > 0; }
    /// True if it was the last searcher.
    bool leave_search(bool& mine, bool found) {
        if (!std::exchange(mine, false)) return false;
        bool last = searching.fetch_sub(1, std::memory_order_seq_cst) == 1;
        if (last && found && idle.any() && (injected.load(std::memory_order_seq_cst) != 0 || any_queued())) notify_one();
        return last;
    }
    /// Works until nothing is left to do in the whole runtime.
    void work(unsigned index, int all) {
        bool searches = false;
        while (done < all) {
            bool found = take(own[index]) || take(injected);
            if (!found) {
                if (!searches && 2 * searching.load(std::memory_order_relaxed) < 2) {
                    searching.fetch_add(1, std::memory_order_seq_cst);
                    searches = true;
                }
                found = searches && (take(own[1 - index]) || take(injected));
            }
            if (found) {
                leave_search(searches, true);
                model::wait_until([this] { return done >= meet; });
                continue;
            }
            park(index, searches, all);
        }
        leave_search(searches, false);
    }
    void park(unsigned index, bool& searches, int all) {
        bool last_searcher = leave_search(searches, false);
        idle.add(index);
        bool there = injected.load(std::memory_order_seq_cst) != 0 || own[index].load() != 0;
        if (!there && last_searcher) there = any_queued();
        if (!there) model::wait_until([this, index, all] { return woken[index].load() || done >= all; });
        if (!idle.remove(index)) {
            searches = true;
            woken[index].store(false);
        } else if (there) {
            searching.fetch_add(1, std::memory_order_seq_cst);
            searches = true;
        }
    }
};

TEST(ModelParking, WhatIsInjectedIsDone) {
    auto result = model::explore({.preemptions = 3, .delays = 1}, [](model::run& r) {
        auto rt = std::make_shared<runtime>();
        r.thread([=] { rt->work(0, 2); });
        r.thread([=] { rt->inject(); });
        r.thread([=] { rt->inject(); });
        r.at_end([=]() -> std::string { return rt->done == 2 ? "" : "work is left"; });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

TEST(ModelParking, TwoWorkersLeaveNothing) {
    auto result = model::explore({.preemptions = 2, .delays = 1, .runs = 1'000'000}, [](model::run& r) {
        auto rt = std::make_shared<runtime>();
        rt->own[0].store(1);
        r.thread([=] { rt->work(0, 2); });
        r.thread([=] { rt->work(1, 2); });
        r.thread([=] { rt->inject(); });
        r.at_end([=]() -> std::string { return rt->done == 2 ? "" : "work is left"; });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

/// The first poll lasts until the second one has begun: a sleeper that hears of the second task only from whoever ends a poll never does.
TEST(ModelParking, WhatIsInjectedDoesNotWaitForAPollToEnd) {
    auto result = model::explore({.preemptions = 3, .delays = 1, .runs = 10'000'000}, [](model::run& r) {
        auto rt = std::make_shared<runtime>();
        rt->meet = 2;
        r.thread([=] { rt->work(0, 2); });
        r.thread([=] { rt->work(1, 2); });
        r.thread([=] {
            rt->inject();
            rt->inject();
        });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

/// A sleeper that looks before it says that it sleeps: the checker must find that its wake-up is lost.
TEST(ModelParking, LookingBeforeSayingSoLosesAWakeUp) {
    auto result = model::explore({}, [](model::run& r) {
        auto rt = std::make_shared<runtime>();
        r.thread([=] {
            if (rt->injected.load(std::memory_order_seq_cst) != 0) return;
            rt->idle.add(0);
            model::wait_until([=] { return rt->woken[0].load(); });
        });
        r.thread([=] { rt->inject(); });
    });
    EXPECT_NE(result.failure.find("a deadlock"), std::string::npos);
}

}  // namespace
