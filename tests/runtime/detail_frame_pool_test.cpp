#include <belay/runtime/detail/frame_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace {

using belay::detail::pool_alignment;
using belay::detail::pool_allocate;
using belay::detail::pool_block_bytes;
using belay::detail::pool_free;
using belay::detail::pool_is_passthrough;
using belay::detail::pool_max_bytes;
using belay::detail::pool_reserved_bytes;

struct piece {
    std::byte* memory;
    std::size_t bytes;
    unsigned char fill;
};

piece make_piece(std::size_t bytes, unsigned char fill) {
    auto* memory = static_cast<std::byte*>(pool_allocate(bytes));
    std::memset(memory, fill, bytes);
    return {memory, bytes, fill};
}

bool intact(const piece& checked) {
    return std::all_of(checked.memory, checked.memory + checked.bytes,
                       [&](std::byte each) { return each == std::byte{checked.fill}; });
}

TEST(FramePool, BlocksOfAllSizesAreAlignedAndDoNotOverlap) {
    std::vector<piece> pieces;
    for (std::size_t bytes = 0; bytes <= pool_max_bytes + 200; ++bytes) {
        pieces.push_back(make_piece(bytes, static_cast<unsigned char>(bytes % 251)));
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(pieces.back().memory) % pool_alignment, 0U);
    }
    for (const auto& each : pieces) {
        ASSERT_TRUE(intact(each)) << each.bytes;
        pool_free(each.memory, each.bytes);
    }
}

TEST(FramePool, RoundsRequestsUpToTheirSizeClass) {
    EXPECT_EQ(pool_block_bytes(0), 16U);
    EXPECT_EQ(pool_block_bytes(16), 16U);
    EXPECT_EQ(pool_block_bytes(17), 32U);
    EXPECT_EQ(pool_block_bytes(512), 512U);
    EXPECT_EQ(pool_block_bytes(513), 576U);
    EXPECT_EQ(pool_block_bytes(2048), 2048U);
    EXPECT_EQ(pool_block_bytes(2049), 2049U);
}

TEST(FramePool, TheBlockFreedLastIsGivenOutFirst) {
    if (pool_is_passthrough()) GTEST_SKIP() << "the sanitizer has the memory";
    void* first = pool_allocate(100);
    pool_free(first, 100);
    void* second = pool_allocate(112);  // the same size class
    EXPECT_EQ(first, second);
    pool_free(second, 112);
}

TEST(FramePool, RandomUseByOneThreadKeepsContents) {
    std::mt19937 random(7);
    std::vector<piece> pieces;
    for (int step = 0; step < 100'000; ++step) {
        if (pieces.size() < 2000 && random() % 2 == 0) {
            pieces.push_back(make_piece(random() % 600, static_cast<unsigned char>(random())));
        } else if (!pieces.empty()) {
            std::swap(pieces[random() % pieces.size()], pieces.back());
            ASSERT_TRUE(intact(pieces.back()));
            pool_free(pieces.back().memory, pieces.back().bytes);
            pieces.pop_back();
        }
    }
    for (const auto& each : pieces) pool_free(each.memory, each.bytes);
}

TEST(FramePool, WhatIsHeldAtOnceIsDistinct) {
    std::set<void*> held;
    for (int i = 0; i < 5000; ++i) ASSERT_TRUE(held.insert(pool_allocate(64)).second);
    for (void* each : held) pool_free(each, 64);
}

// Each thread allocates into a shared exchange and frees what others have left there.
TEST(FramePool, ThreadsFreeEachOthersBlocks) {
    constexpr int threads = 4;
    constexpr int rounds = 20'000;
    constexpr std::size_t places = 256;
    std::mutex mutex;
    std::vector<piece> exchange(places, piece{nullptr, 0, 0});
    std::atomic<int> damaged{0};

    std::vector<std::thread> running;
    running.reserve(threads);
    for (unsigned id = 0; id < threads; ++id) {
        running.emplace_back([&, id] {
            std::mt19937 random(id);
            for (int round = 0; round < rounds; ++round) {
                piece mine = make_piece(1 + random() % 300, static_cast<unsigned char>(random()));
                {
                    std::scoped_lock guard(mutex);
                    std::swap(mine, exchange[random() % places]);
                }
                if (mine.memory == nullptr) continue;
                if (!intact(mine)) ++damaged;
                pool_free(mine.memory, mine.bytes);
            }
        });
    }
    for (auto& thread : running) thread.join();
    for (const auto& each : exchange)
        if (each.memory != nullptr) pool_free(each.memory, each.bytes);
    EXPECT_EQ(damaged, 0);
}

TEST(FramePool, AProducerAndAConsumerCycleTheSameMemory) {
    constexpr std::size_t bytes = 1040;  // a class that no other test uses
    constexpr int rounds = 200;
    std::uint64_t after_first_round = 0;
    for (int round = 0; round < rounds; ++round) {
        std::vector<void*> made;
        std::thread([&] {
            for (int i = 0; i < 100; ++i) made.push_back(pool_allocate(bytes));
        }).join();
        std::thread([&] {
            for (void* each : made) pool_free(each, bytes);
        }).join();
        if (round == 0) after_first_round = pool_reserved_bytes();
    }
    EXPECT_EQ(pool_reserved_bytes(), after_first_round);
}

TEST(FramePool, AThreadLeavesItsCacheToTheNextOne) {
    constexpr std::size_t bytes = 1104;  // a class that no other test uses
    auto use = [] {
        std::vector<void*> held;
        for (int i = 0; i < 37; ++i) held.push_back(pool_allocate(bytes));  // not a multiple of a batch
        for (void* each : held) pool_free(each, bytes);
    };
    std::thread(use).join();
    const std::uint64_t reserved = pool_reserved_bytes();
    for (int i = 0; i < 200; ++i) std::thread(use).join();
    EXPECT_EQ(pool_reserved_bytes(), reserved);
}

// Its constructor runs before the thread's cache is made, hence its destructor after the cache is gone.
struct late_user {
    late_user() = default;
    late_user(const late_user&) = delete;
    late_user& operator=(const late_user&) = delete;
    ~late_user() {
        std::vector<piece> pieces;
        for (int i = 0; i < 200; ++i) pieces.push_back(make_piece(1168, static_cast<unsigned char>(i)));
        bool all_intact = true;
        for (const auto& each : pieces) {
            all_intact = all_intact && intact(each);
            pool_free(each.memory, each.bytes);
        }
        if (!all_intact) std::abort();
        pool_free(held, 1168);
        ++finished;
    }
    void* held = nullptr;
    static inline std::atomic<int> finished{0};
};

TEST(FramePool, ServesDestructorsThatRunAfterTheThreadsCacheIsGone) {
    late_user::finished = 0;
    std::uint64_t reserved = 0;
    for (int i = 0; i < 20; ++i) {
        std::thread([] {
            thread_local late_user late;
            late.held = pool_allocate(1168);
        }).join();
        if (i == 0) reserved = pool_reserved_bytes();
    }
    EXPECT_EQ(late_user::finished, 20);
    EXPECT_EQ(pool_reserved_bytes(), reserved);
}

TEST(FramePool, AThreadThatOnlyFreesIsFine) {
    std::vector<void*> made;
    for (int i = 0; i < 300; ++i) made.push_back(pool_allocate(48));
    std::thread([&] {
        for (void* each : made) pool_free(each, 48);
    }).join();
}

}  // namespace
