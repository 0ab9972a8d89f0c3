// A task that has gone while it was looked at: what lies there now is not taken for it.
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/stop_walk.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace belay::detail {
namespace {

struct somebody final : record {
    explicit somebody(stop_node& node) noexcept
        : record{*reinterpret_cast<runtime_core*>(this), node, std::source_location::current()} {}  // its runtime is not asked
    record* on_done(outcome) noexcept override { return nullptr; }
};

TEST(Snapshot, OfATaskThatIsThere) {
    stop_node node;
    somebody task{node};
    task.id = 7;
    task_snapshot seen;
    ASSERT_TRUE(snapshot_unpinned(&task, seen));
    EXPECT_EQ(seen.id, 7U);
    EXPECT_NE(std::string_view{seen.spawned.file_name()}.find("detail_snapshot_test.cpp"), std::string_view::npos);
}

TEST(Snapshot, SaysWhatTheTaskIsAbout) {
    stop_node node;
    somebody task{node};
    promise_base frame{std::source_location::current()};
    task_snapshot seen;
    ASSERT_TRUE(snapshot_unpinned(&task, seen));
    EXPECT_STREQ(seen.waiting_on, "not started");
    task.leaf = &frame;
    task.slot = record::completed;
    ASSERT_TRUE(snapshot_unpinned(&task, seen));
    EXPECT_STREQ(seen.waiting_on, "running or ready");
    task.slot = reinterpret_cast<std::uintptr_t>(&frame) | record::claimed_bit;  // the operation is not looked at
    ASSERT_TRUE(snapshot_unpinned(&task, seen));
    EXPECT_STREQ(seen.waiting_on, "suspended");
}

TEST(Snapshot, OfANameAlone) {
    stop_node node;
    somebody task{node};
    task.id = 7;
    task.leaf = reinterpret_cast<promise_base*>(16);  // as of a frame that goes meanwhile
    task_snapshot seen;
    EXPECT_FALSE(snapshot_unpinned(&task, seen));
    ASSERT_TRUE(name_unpinned(&task, seen));
    EXPECT_EQ(seen.id, 7U);
    EXPECT_EQ(seen.depth, 0U);
}

TEST(Snapshot, NotOfWhatOnlyLiesWhereATaskWas) {
    stop_node node;
    somebody task{node};
    alignas(somebody) std::byte bytes[sizeof(somebody)];
    const void* somewhere = &node;
    task_snapshot seen;

    std::memcpy(bytes, static_cast<void*>(&task), sizeof bytes);
    std::memcpy(bytes, &somewhere, sizeof somewhere);  // where the vtable was
    EXPECT_FALSE(snapshot_unpinned(reinterpret_cast<const record*>(bytes), seen));

    // Each word behind the vtable by itself: nothing of it is followed that leads nowhere.
    for (std::size_t at = sizeof(void*); at + sizeof(void*) <= sizeof bytes; at += sizeof(void*)) {
        std::memcpy(bytes, static_cast<void*>(&task), sizeof bytes);
        std::memcpy(bytes + at, &somewhere, sizeof somewhere);
        if (snapshot_unpinned(reinterpret_cast<const record*>(bytes), seen)) {
            EXPECT_NE(seen.spawned.file_name(), nullptr);  // can be read
        }
    }
    std::memset(bytes, 0x7f, sizeof bytes);
    EXPECT_FALSE(snapshot_unpinned(reinterpret_cast<const record*>(bytes), seen));
}

}  // namespace
}  // namespace belay::detail
