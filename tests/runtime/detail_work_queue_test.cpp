#include <belay/runtime/detail/work_queue.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <latch>
#include <random>
#include <thread>
#include <vector>

namespace {

using belay::detail::work_queue;

struct item {
    std::size_t payload = 0;  // written before the push, read by whoever takes it
    std::atomic<unsigned> taken{0};
};

TEST(WorkQueue, IsEmptyAtFirst) {
    work_queue<item> queue;
    EXPECT_EQ(queue.pop(), nullptr);
    EXPECT_EQ(queue.steal(), nullptr);
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_TRUE(queue.empty());
}

TEST(WorkQueue, PopTakesTheNewest) {
    std::vector<item> items(3);
    work_queue<item> queue;
    for (auto& each : items) queue.push(&each);
    EXPECT_EQ(queue.size(), 3U);
    EXPECT_EQ(queue.pop(), &items[2]);
    EXPECT_EQ(queue.pop(), &items[1]);
    EXPECT_EQ(queue.pop(), &items[0]);
    EXPECT_EQ(queue.pop(), nullptr);
}

TEST(WorkQueue, StealTakesTheOldest) {
    std::vector<item> items(3);
    work_queue<item> queue;
    for (auto& each : items) queue.push(&each);
    EXPECT_EQ(queue.steal(), &items[0]);
    EXPECT_EQ(queue.pop(), &items[2]);
    EXPECT_EQ(queue.steal(), &items[1]);
    EXPECT_EQ(queue.steal(), nullptr);
    EXPECT_EQ(queue.pop(), nullptr);
}

TEST(WorkQueue, PeekShowsTheOldestFirstAndTakesNothing) {
    std::vector<item> items(6);
    work_queue<item> queue(4);
    EXPECT_EQ(queue.peek(0).item, nullptr);
    for (auto& each : items) queue.push(&each);
    auto first = queue.peek(0);
    auto second = queue.peek(1);
    EXPECT_EQ(first.item, &items[0]);
    EXPECT_EQ(second.item, &items[1]);
    EXPECT_EQ(queue.peek(5).item, &items[5]);
    EXPECT_EQ(queue.peek(6).item, nullptr);
    EXPECT_TRUE(queue.still_holds(first));
    EXPECT_EQ(queue.size(), 6U);
    EXPECT_EQ(queue.steal(), &items[0]);
    EXPECT_FALSE(queue.still_holds(first));
    EXPECT_TRUE(queue.still_holds(second));
    EXPECT_EQ(queue.peek(0).item, &items[1]);
}

TEST(WorkQueue, GrowsAndKeepsTheOrder) {
    std::vector<item> items(1000);
    work_queue<item> queue(4);
    EXPECT_EQ(queue.capacity(), 4U);
    for (auto& each : items) queue.push(&each);
    EXPECT_EQ(queue.size(), 1000U);
    EXPECT_EQ(queue.capacity(), 1024U);
    for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ(queue.steal(), &items[i]);
    for (std::size_t i = 1000; i > 500; --i) EXPECT_EQ(queue.pop(), &items[i - 1]);
    EXPECT_TRUE(queue.empty());
}

TEST(WorkQueue, DoesNotGrowWhileItIsDrainedAsFastAsFilled) {
    item only;
    work_queue<item> queue(4);
    for (int i = 0; i < 1000; ++i) {
        queue.push(&only);
        queue.push(&only);
        queue.push(&only);
        EXPECT_NE(queue.steal(), nullptr);
        EXPECT_NE(queue.pop(), nullptr);
        EXPECT_NE(queue.steal(), nullptr);
    }
    EXPECT_EQ(queue.capacity(), 4U);
}

TEST(WorkQueue, RoundsAnOddCapacityUp) {
    EXPECT_EQ(work_queue<item>(0).capacity(), 2U);
    EXPECT_EQ(work_queue<item>(5).capacity(), 8U);
}

TEST(WorkQueue, AgreesWithADequeOnRandomOperations) {
    std::mt19937 random(20240607);
    std::vector<item> items(64);
    std::deque<item*> model;
    work_queue<item> queue(2);
    for (int step = 0; step < 200'000; ++step) {
        const auto choice = random() % 4;
        if (choice < 2 && model.size() < 300) {
            item* chosen = &items[random() % items.size()];
            queue.push(chosen);
            model.push_back(chosen);
        } else if (choice == 2) {
            item* expected = model.empty() ? nullptr : model.back();
            if (expected != nullptr) model.pop_back();
            ASSERT_EQ(queue.pop(), expected);
        } else {
            item* expected = model.empty() ? nullptr : model.front();
            if (expected != nullptr) model.pop_front();
            ASSERT_EQ(queue.steal(), expected);
        }
        ASSERT_EQ(queue.size(), model.size());
    }
}

// Runs an owner against three thieves and checks that each item was taken once, with the payload of its push.
template <class OwnerStep>
void expect_each_item_taken_once(std::size_t count, std::size_t capacity, OwnerStep owner_step) {
    constexpr int thieves = 3;
    std::vector<item> items(count);
    work_queue<item> queue(capacity);
    std::atomic<bool> drained{false};
    std::atomic<bool> wrong_payload{false};
    std::latch start(thieves + 1);

    auto take = [&](item* taken) {
        if (taken->payload != static_cast<std::size_t>(taken - items.data()) + 1) wrong_payload = true;
        taken->taken.fetch_add(1, std::memory_order_relaxed);
    };

    std::vector<std::thread> running;
    running.reserve(thieves);
    for (int i = 0; i < thieves; ++i) {
        running.emplace_back([&] {
            start.arrive_and_wait();
            while (!drained.load(std::memory_order_relaxed)) {
                if (item* stolen = queue.steal()) take(stolen);
            }
        });
    }
    start.arrive_and_wait();
    for (std::size_t i = 0; i < count; ++i) {
        items[i].payload = i + 1;
        queue.push(&items[i]);
        owner_step(queue, i, take);
    }
    while (item* popped = queue.pop()) take(popped);
    drained = true;  // null from pop() is final: nobody else pushes
    for (auto& thread : running) thread.join();

    EXPECT_FALSE(wrong_payload);
    EXPECT_TRUE(queue.empty());
    for (const auto& each : items) ASSERT_EQ(each.taken.load(), 1U);
}

TEST(WorkQueue, OwnerAndThievesFightForTheLastItem) {
    expect_each_item_taken_once(200'000, 2, [](auto& queue, std::size_t, auto& take) {
        if (item* popped = queue.pop()) take(popped);
    });
}

// With two or three items the owner takes the newest without a CAS, while thieves may be about to reach it.
TEST(WorkQueue, OwnerAndThievesFightForTheLastFewItems) {
    expect_each_item_taken_once(300'000, 4, [](auto& queue, std::size_t i, auto& take) {
        if (i % 3 != 2) return;
        while (item* popped = queue.pop()) take(popped);
    });
}

TEST(WorkQueue, OwnerPopsBurstsWhileThievesSteal) {
    expect_each_item_taken_once(200'000, 8, [](auto& queue, std::size_t i, auto& take) {
        if (i % 64 != 63) return;
        for (int n = 0; n < 40; ++n) {
            if (item* popped = queue.pop()) take(popped);
        }
    });
}

TEST(WorkQueue, GrowsWhileThievesSteal) {
    // The owner takes nothing until the end, so the queue doubles many times under the thieves' hands.
    expect_each_item_taken_once(200'000, 2, [](auto&, std::size_t, auto&) {});
}

TEST(WorkQueue, OwnerStealsFromItselfAmongThieves) {
    expect_each_item_taken_once(200'000, 4, [](auto& queue, std::size_t i, auto& take) {
        if (i % 3 == 0) return;
        if (item* stolen = queue.steal()) take(stolen);
    });
}

TEST(WorkQueue, AThiefSeesTheItemsInOrderOfTheirPush) {
    constexpr std::size_t count = 100'000;
    std::vector<item> items(count);
    work_queue<item> queue(2);
    bool in_order = true;
    std::thread thief([&] {
        const item* last = nullptr;
        for (std::size_t seen = 0; seen < count;) {
            const item* stolen = queue.steal();
            if (stolen == nullptr) {
                std::this_thread::yield();
                continue;
            }
            in_order = in_order && (last == nullptr || stolen == last + 1);
            last = stolen;
            ++seen;
        }
    });
    for (auto& each : items) queue.push(&each);
    thief.join();
    EXPECT_TRUE(in_order);
}

}  // namespace
