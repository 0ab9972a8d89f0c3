#include <belay/runtime/scope.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class ThisTask : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(ThisTask, OutsideOfATaskEveryAnswerIsEmpty) {
    EXPECT_EQ(this_task::id(), 0U);
    EXPECT_EQ(this_task::name(), "");
    EXPECT_FALSE(this_task::stop_requested());
    EXPECT_EQ(this_task::stop_reason(), stop_reason::none);
    EXPECT_FALSE(this_task::deadline());
}

TEST_F(ThisTask, TheIdIsUniqueAndTheSameInEveryBranch) {
    std::mutex lock;
    std::set<std::uint64_t> ids;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 200; ++i) {
                auto handle = s.spawn([&]() -> task<> {
                    auto mine = this_task::id();
                    co_await yield();
                    EXPECT_EQ(this_task::id(), mine);
                    auto look = [&]() -> task<> {
                        co_await yield();
                        EXPECT_EQ(this_task::id(), mine);
                    };
                    co_await look();
                    co_await when_all(look(), look());
                    co_await timeout(1h, look());
                    co_await with_scope([&](scope&) { return look(); });
                    EXPECT_EQ(this_task::id(), mine);
                    std::scoped_lock guard(lock);
                    EXPECT_TRUE(ids.insert(mine).second);
                });
                EXPECT_NE(handle.id(), 0U);
            }
            co_return;
        });
    });
    EXPECT_EQ(ids.size(), 200U);
}

TEST_F(ThisTask, KnowsThatAndWhyItIsToStop) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            EXPECT_FALSE(this_task::stop_requested());
            co_await with_scope([&](scope& inner) -> task<> {
                EXPECT_EQ(this_task::stop_reason(), stop_reason::none);
                inner.request_stop();
                EXPECT_TRUE(this_task::stop_requested());
                EXPECT_EQ(this_task::stop_reason(), stop_reason::requested);
                co_return;
            });
            EXPECT_FALSE(this_task::stop_requested());
            std::atomic<bool> running{false};
            outer.spawn([&]() -> task<> {
                co_await with_scope([&](scope&) -> task<> {
                    running = true;
                    while (!this_task::stop_requested()) std::this_thread::yield();
                    EXPECT_EQ(this_task::stop_reason(), stop_reason::parent);
                    co_return;
                });
            });
            co_await until([&] { return running.load(); });
            outer.request_stop();
        });
    });
}

TEST_F(ThisTask, ACallableThatIsNoCoroutineSeesItsOwnTask) {
    rt.block_on([&]() -> task<> {
        auto outside = this_task::id();
        co_await with_scope([&](scope& s) {
            EXPECT_EQ(this_task::id(), outside);  // a scope's body belongs to the task
            s.spawn([outside]() {
                auto mine = this_task::id();
                EXPECT_NE(mine, 0U);
                EXPECT_NE(mine, outside);
                return [](std::uint64_t expected) -> task<> {
                    EXPECT_EQ(this_task::id(), expected);
                    co_return;
                }(mine);
            });
            return []() -> task<> { co_return; }();
        });
    });
}

TEST_F(ThisTask, StopReasonsHaveNames) {
    EXPECT_EQ(to_string(stop_reason::none), "none");
    EXPECT_EQ(to_string(stop_reason::cleanup_overrun), "cleanup_overrun");
}

}  // namespace
}  // namespace belay
