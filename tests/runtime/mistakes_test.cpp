// What belay says of the most likely mistakes, word for word: docs/mistakes.md. Those that do not compile are in tests/refused.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/tests/runtime/support.hpp>

#include <memory>
#include <string>
#include <thread>

namespace belay {
namespace {

using namespace test;

class Mistakes : public Suite {
protected:
    Mistakes() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

task<> nothing() { co_return; }

TEST_F(Mistakes, ATaskThatIsAwaitedTwice) {
    EXPECT_DEATH(runtime(options(1)).block_on([]() -> task<> {
        auto once = nothing();
        co_await std::move(once);
        co_await std::move(once);  // NOLINT(bugprone-use-after-move)
    }),
                 "belay: MISUSE: a task was awaited twice, or after it was moved from: a task runs once");
}

TEST_F(Mistakes, BlockOnOnAWorker) {
    EXPECT_DEATH(
        {
            runtime rt{options(1)};
            rt.block_on([&]() -> task<> {
                rt.block_on(nothing());
                co_return;
            });
        },
        "belay: MISUSE: block_on\\(\\) was called on a worker: it would block the thread that has to run the task. Write co_await "
        "instead, or spawn_blocking\\(...\\) around code that must block");
}

TEST_F(Mistakes, SpawnAfterClose) {
    runtime rt{options(1)};
    rt.shutdown(60s);
    try {
        rt.spawn(nothing);
        FAIL() << "was accepted";
    } catch (const scope_closed& e) {
        EXPECT_STREQ(e.what(), "belay: the scope is closed: it has been joined or its runtime has shut down");
    }
}

TEST_F(Mistakes, CapturesLiveAsLongAsTheTask) {
    runtime rt{options(2)};
    gate shut;
    auto counted = std::make_shared<int>(7);
    std::weak_ptr<int> alive = counted;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&shut, counted = std::move(counted)](scope& s) -> task<> {
            s.spawn([&shut, counted]() -> task<> {  // this lambda ends with its statement, its copy does not
                co_await shut.wait();
                EXPECT_EQ(*counted, 7);
            });
            co_await yield();
            shut.open();
        });
    });
    EXPECT_TRUE(alive.expired());
}

TEST_F(Mistakes, WhatBelongsToAnotherRuntimeMayBeUsed) {
    runtime mine{options(1)};
    runtime theirs{options(2)};
    mutex lock;
    event set;
    semaphore permits{1};
    blocking_pool their_pool{theirs, {.name = "theirs", .max_threads = 1}};
    mine.block_on([&]() -> task<> {
        auto home = std::this_thread::get_id();
        auto here = [home] { return std::this_thread::get_id() == home; };
        auto [tx, rx] = channel<int>(1);
        auto theirs_ended = theirs.spawn(
            [&](sender<int> to) -> task<int> {
                auto held = co_await lock.lock();
                auto permit = co_await permits.acquire();
                for (int i = 0; i < 100; ++i) co_await to.send(i);
                co_await sleep_for(1ms);
                set.set();
                co_return 5;
            },
            std::move(tx));
        int sum = 0;
        while (auto n = co_await rx.recv()) {
            EXPECT_TRUE(here());
            sum += *n;
        }
        EXPECT_EQ(sum, 4950);
        co_await set.wait();
        EXPECT_TRUE(here());
        {
            auto held = co_await lock.lock();
            EXPECT_TRUE(here());
            auto permit = co_await permits.acquire();
            EXPECT_TRUE(here());
        }
        EXPECT_EQ(co_await theirs_ended.join(), 5);
        EXPECT_TRUE(here());
        EXPECT_EQ(co_await their_pool.run([] { return 6; }), 6);
        EXPECT_TRUE(here());
        // A task of theirs may be spawned from here, and runs there.
        EXPECT_NE(co_await theirs.spawn([]() -> task<std::thread::id> { co_return std::this_thread::get_id(); }).join(), home);
        EXPECT_TRUE(here());
    });
}

}  // namespace
}  // namespace belay
