// The deque of a worker: whatever owner and thieves do at once, each item is taken once.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#include <belay/runtime/detail/work_queue.hpp>
#undef atomic

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

namespace {

struct item {
    int taken = 0;
};

struct shared {
    std::array<item, 4> items;
    belay::detail::work_queue<item> queue{2};  // grows while it is used
    static void take(item* one) {
        if (one != nullptr) ++one->taken;
    }
    std::string verdict(int pushed) {
        while (item* left = queue.pop()) take(left);
        for (int i = 0; i < pushed; ++i) {
            int times = items[static_cast<std::size_t>(i)].taken;
            if (times != 1) return "item " + std::to_string(i) + " was taken " + std::to_string(times) + " times";
        }
        return "";
    }
};

/// With at most `preemptions` and `delays`, all interleavings.
void expect_right(const model::limits& within, int pushed,
                  const std::function<void(model::run&, std::shared_ptr<shared>)>& threads) {
    auto result = model::explore(within, [&](model::run& r) {
        auto all = std::make_shared<shared>();
        threads(r, all);
        r.at_end([=] { return all->verdict(pushed); });
    });
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs;
}

TEST(ModelWorkQueue, OwnerAndThiefShareWhatThereIs) {
    auto threads = [](model::run& r, const std::shared_ptr<shared>& all) {
        all->queue.push(&all->items[0]);
        r.thread([=] {
            shared::take(all->queue.pop());
            all->queue.push(&all->items[1]);
            shared::take(all->queue.pop());
        });
        r.thread([=] {
            shared::take(all->queue.steal());
            shared::take(all->queue.steal());
        });
    };
    expect_right({.preemptions = 6, .delays = 0}, 2, threads);
    expect_right({.preemptions = 2, .delays = 1}, 2, threads);
}

TEST(ModelWorkQueue, TwoThievesAndAnOwnerWhoGrowsIt) {
    auto threads = [](model::run& r, const std::shared_ptr<shared>& all) {
        all->queue.push(&all->items[0]);
        all->queue.push(&all->items[1]);
        r.thread([=] {
            all->queue.push(&all->items[2]);  // into a larger ring
            shared::take(all->queue.pop());
        });
        r.thread([=] { shared::take(all->queue.steal()); });
        r.thread([=] { shared::take(all->queue.steal()); });
    };
    expect_right({.preemptions = 3, .delays = 0}, 3, threads);
    expect_right({.preemptions = 0, .delays = 1}, 3, threads);
}

TEST(ModelWorkQueue, AThiefFindsWhatWasPushedBeforeItLooked) {
    auto result = model::explore({}, [](model::run& r) {
        auto all = std::make_shared<shared>();
        all->queue.push(&all->items[0]);
        r.thread([=] { shared::take(all->queue.steal()); });
        r.thread([=] { shared::take(all->queue.steal()); });
        r.at_end([=]() -> std::string { return all->items[0].taken == 1 ? "" : "nobody found it"; });
    });
    EXPECT_EQ(result.failure, "");
}

}  // namespace
