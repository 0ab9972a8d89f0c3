// The checker itself: it finds what is broken, and what needs its memory model, and nothing else.
#include <belay/tests/model/model.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace {

template <class T>
using cell = std::model_atomic<T>;

/// Peterson's and Dekker's idea: each says that it comes, and looks whether the other one does.
model::outcome both_inside(std::memory_order order) {
    return model::explore({}, [order](model::run& r) {
        auto mine = std::make_shared<cell<int>>(0);
        auto yours = std::make_shared<cell<int>>(0);
        auto inside = std::make_shared<int>(0);
        auto enter = [=](cell<int>& own, cell<int>& other) {
            own.store(1, order);
            if (other.load(std::memory_order_seq_cst) == 0) ++*inside;
        };
        r.thread([=] { enter(*mine, *yours); });
        r.thread([=] { enter(*yours, *mine); });
        r.at_end([=]() -> std::string { return *inside > 1 ? "both are inside" : ""; });
    });
}

TEST(Model, AMissingStoreLoadEdgeIsFound) {
    EXPECT_EQ(both_inside(std::memory_order_release).failure, "both are inside");
    auto right = both_inside(std::memory_order_seq_cst);
    EXPECT_EQ(right.failure, "");
    EXPECT_TRUE(right.complete);
    EXPECT_GT(right.runs, 2U);
}

TEST(Model, ALostUpdateIsFound) {
    auto count = [](bool atomically) {
        return model::explore({}, [atomically](model::run& r) {
            auto sum = std::make_shared<cell<int>>(0);
            for (int i = 0; i < 2; ++i) {
                r.thread([=] {
                    if (atomically) {
                        sum->fetch_add(1);
                    } else {
                        sum->store(sum->load() + 1);
                    }
                });
            }
            r.at_end([=]() -> std::string { return sum->load() == 2 ? "" : "an update is lost"; });
        });
    };
    EXPECT_EQ(count(false).failure, "an update is lost");
    EXPECT_EQ(count(true).failure, "");
}

TEST(Model, ADeadlockIsFound) {
    auto result = model::explore({}, [](model::run& r) {
        auto flag = std::make_shared<cell<bool>>(false);
        r.thread([=] { model::wait_until([=] { return flag->load(); }); });
        r.thread([=] {
            if (!flag->load()) return;  // always
            flag->store(true);
        });
    });
    EXPECT_NE(result.failure.find("a deadlock"), std::string::npos);
}

TEST(Model, MessagesArriveInOrder) {
    // x86 keeps stores in order: who sees the flag sees the data.
    auto result = model::explore({}, [](model::run& r) {
        auto data = std::make_shared<cell<int>>(0);
        auto flag = std::make_shared<cell<bool>>(false);
        r.thread([=] {
            data->store(7, std::memory_order_relaxed);
            flag->store(true, std::memory_order_release);
        });
        r.thread([=] {
            if (flag->load(std::memory_order_acquire)) model::require(data->load(std::memory_order_relaxed) == 7, "old data");
        });
    });
    EXPECT_EQ(result.failure, "");
}

TEST(Model, ASpinLoopEnds) {
    auto result = model::explore({.preemptions = 2}, [](model::run& r) {
        auto flag = std::make_shared<cell<bool>>(false);
        r.thread([=] {
            while (!flag->load(std::memory_order_acquire)) {}
        });
        r.thread([=] { flag->store(true, std::memory_order_release); });
    });
    EXPECT_EQ(result.failure, "");
}

TEST(Model, EveryInterleavingIsSeen) {
    // Two threads with two steps each: six orders, of which no two are the same.
    std::vector<std::string> seen;
    auto result = model::explore({.preemptions = 10, .delays = 0}, [&](model::run& r) {
        auto order = std::make_shared<std::string>();
        auto step = std::make_shared<cell<int>>(0);
        for (char name : {'a', 'b'}) {
            r.thread([=] {
                for (int i = 0; i < 2; ++i) {
                    step->fetch_add(1);
                    *order += name;
                }
            });
        }
        r.at_end([=, &seen]() -> std::string {
            seen.push_back(*order);
            return "";
        });
    });
    EXPECT_TRUE(result.complete);
    std::ranges::sort(seen);
    seen.erase(std::ranges::unique(seen).begin(), seen.end());
    EXPECT_EQ(seen, (std::vector<std::string>{"aabb", "abab", "abba", "baab", "baba", "bbaa"}));
}

}  // namespace
