// Promise 3 for operations that never have to wait: a loop of them yields when its budget is used up, and meets the stop there.
#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/select.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class AlwaysReady : public Suite {
protected:
    /// Hangs, and so ends by the hard timeout, if the loop is not stopped.
    template <class F>
    void loop_is_stopped(F turn) {
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    for (;;) {
                        co_await turn();
                        ++turns;
                    }
                });
                co_await until([&] { return turns > 1000; });
                s.request_stop();
            });
        });
    }
    std::atomic<int> turns{0};
    runtime rt{options()};
};

TEST_F(AlwaysReady, ALoopOverAFreeMutexIsStopped) {
    belay::mutex free;
    loop_is_stopped([&]() -> task<> { auto guard = co_await free.lock(); });
}

TEST_F(AlwaysReady, ALoopOverASemaphoreWithRoomIsStopped) {
    semaphore room{1};
    loop_is_stopped([&]() -> task<> { auto held = co_await room.acquire(); });
}

TEST_F(AlwaysReady, ALoopOverAnEventThatIsSetIsStopped) {
    event set;
    set.set();
    loop_is_stopped([&]() -> task<> { co_await set.wait(); });
}

TEST_F(AlwaysReady, ALoopOverASelectThatNeverWaitsIsStopped) {
    event set;
    set.set();
    loop_is_stopped([&]() -> task<> { (void)co_await select(set.wait(), sleep_for(1h)); });
}

TEST_F(AlwaysReady, ALoopOverAChannelThatIsNeitherFullNorEmptyIsStopped) {
    auto [tx, rx] = channel<int>(4);
    loop_is_stopped([&]() -> task<> {
        (void)co_await tx.send(1);
        (void)co_await rx.recv();
    });
}

TEST_F(AlwaysReady, ALoopOverReservedRoomIsStopped) {
    auto [tx, rx] = channel<int>(4);
    loop_is_stopped([&]() -> task<> { auto place = co_await tx.reserve(); });
}

TEST_F(AlwaysReady, ALoopOverSpawnsForWhichThereIsRoomIsStopped) {
    loop_is_stopped([&]() -> task<> {
        co_await with_scope([](scope& inner) -> task<> {
            for (int i = 0; i < 10; ++i) co_await inner.spawn_when_free([]() -> task<> { co_return; });
        });
    });
}

}  // namespace
}  // namespace belay
