// Promise 6: ready work does not wait behind a busy worker. Each test has a hog that spins inside one poll until a task whose
// queue entry, timer, staged operation or completion belongs to the hog's own worker has run on another one. Nothing is timed:
// when the promise is broken the test hangs.
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/driver.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/runtime/support.hpp>

#include <sys/socket.h>
#include <unistd.h>

namespace belay {
namespace {

using namespace test;

unsigned here() { return detail::this_worker()->index(); }

/// A hog can only prove something when it is on the same worker as what waits for it.
class Takeover : public Suite {
protected:
    static runtime_options quick() {
        auto o = options(2);
        o.takeover_tick = 200us;
        return o;
    }
    /// Keeps the other worker from ever being idle, with polls that are short.
    template <class F>
    void beside_a_busy_neighbour(F body) {
        rt.block_on([&]() -> task<> {
            std::atomic<bool> done{false};
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    while (!done) co_await yield();
                });
                co_await body();
                done = true;
            });
        });
    }

    task<> queued_task() {
        std::atomic<bool> ran{false};
        co_await with_scope([&](scope& s) -> task<> {
            auto mine = here();
            s.spawn([&ran, mine]() -> task<> {
                EXPECT_NE(here(), mine);
                ran = true;
                co_return;
            });
            while (!ran) std::this_thread::yield();
            co_return;
        });
    }

    task<> woken_task() {
        for (int n : {1, 2, 10}) {  // the LIFO slot alone; with one in the wake lane; with many
            gate shut;
            std::atomic<int> ran{0};
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < n; ++i) {
                    s.spawn([&]() -> task<> {
                        co_await shut.wait();
                        ++ran;
                    });
                }
                co_await until([&] { return shut.waiting() == static_cast<std::size_t>(n); });
                shut.open();
                while (ran != n) std::this_thread::yield();
            });
        }
    }

    task<> timer() {
        for (bool proved = false; !proved;) {
            std::atomic<unsigned> home{~0U};
            std::atomic<bool> woke{false};
            auto sleeper = [&]() -> task<> {
                home = here();
                co_await sleep_for(2ms);
                woke = true;
            };
            auto hog = [&]() -> task<> {
                if (home != here()) co_return;  // it was stolen before it began: try again
                while (!woke) std::this_thread::yield();
                proved = true;
            };
            co_await when_all(sleeper(), hog());
        }
    }

    struct receive final : detail::io_operation, detail::native_awaitable {
        receive(int fd, std::span<std::byte> into) {
            request = {.opcode = io_opcode::recv, .fd = fd, .buffer = into.data(), .length = into.size()};
        }
        static bool await_ready() noexcept { return false; }
        template <task_promise P>
        bool await_suspend(std::coroutine_handle<P> h) noexcept {
            return !suspend_on(*h.promise().rec) || start();
        }
        [[nodiscard]] int await_resume() const noexcept { return result; }
    };

    /// The operation is staged on the hog's worker when the hog begins, and completes while it spins.
    task<> io() {
        int fds[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        for (bool proved = false; !proved;) {
            std::atomic<unsigned> home{~0U};
            std::atomic<bool> received{false};
            auto reader = [&]() -> task<> {
                std::array<std::byte, 8> buffer;
                home = here();
                int n = co_await receive(fds[0], buffer);
                EXPECT_EQ(n, 4);
                received = true;
            };
            auto hog = [&]() -> task<> {
                bool mine = home == here();
                EXPECT_EQ(::send(fds[1], "abcd", 4, 0), 4);
                if (!mine) co_return;
                while (!received) std::this_thread::yield();
                proved = true;
            };
            co_await when_all(reader(), hog());
        }
        ::close(fds[0]);
        ::close(fds[1]);
    }

    runtime rt{quick()};
};

TEST_F(Takeover, AQueuedTask) {
    for (int i = 0; i < 10; ++i) rt.block_on([&] { return queued_task(); });
}
TEST_F(Takeover, AWokenTask) {
    for (int i = 0; i < 10; ++i) rt.block_on([&] { return woken_task(); });
}
TEST_F(Takeover, ADueTimer) {
    for (int i = 0; i < 10; ++i) rt.block_on([&] { return timer(); });
}
TEST_F(Takeover, AStagedOperationAndItsCompletion) {
    for (int i = 0; i < 10; ++i) rt.block_on([&] { return io(); });
}

// "Its neighbours" need not be idle: a busy one with short polls is as good.
TEST_F(Takeover, AQueuedTaskBesideABusyNeighbour) {
    for (int i = 0; i < 5; ++i) beside_a_busy_neighbour([&] { return queued_task(); });
}
TEST_F(Takeover, AWokenTaskBesideABusyNeighbour) {
    for (int i = 0; i < 5; ++i) beside_a_busy_neighbour([&] { return woken_task(); });
}
TEST_F(Takeover, ADueTimerBesideABusyNeighbour) {
    for (int i = 0; i < 5; ++i) beside_a_busy_neighbour([&] { return timer(); });
}
TEST_F(Takeover, AStagedOperationBesideABusyNeighbour) {
    for (int i = 0; i < 5; ++i) beside_a_busy_neighbour([&] { return io(); });
}

// The watchdog sleeps while nobody runs. A hog that begins by a timer of its own worker, with nobody to notify, wakes it.
TEST_F(Takeover, AHogThatATimerStartedAfterAQuietTimeIsSeen) {
    for (int i = 0; i < 5; ++i) {
        gate shut;
        std::atomic<bool> ran{false};
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    co_await shut.wait();
                    ran = true;
                });
                co_await until([&] { return shut.waiting() == 1; });
                co_await sleep_for(60ms);  // many ticks: the watchdog has gone to sleep
                shut.open();               // into the LIFO slot, of which nobody is told
                while (!ran) std::this_thread::yield();
            });
        });
    }
    std::uint64_t takeovers = 0;
    for (const auto& w : rt.metrics().workers) takeovers += w.takeovers;
    EXPECT_GT(takeovers, 0U);
}

// A stop request comes from the task that hogs; what it stops belongs to the hog's worker.
TEST_F(Takeover, ADeadlineStopsAChildOfAStuckWorker) {
    rt.block_on([&]() -> task<> {
        for (bool proved = false; !proved;) {
            std::atomic<unsigned> home{~0U};
            std::atomic<int> live{1};
            auto victim = [&]() -> task<> {
                home = here();
                try {
                    co_await with_scope({.deadline = 2ms}, [](scope&) { return never(); });
                } catch (const deadline_exceeded&) {
                    live = 0;
                }
            };
            auto hog = [&]() -> task<> {
                if (home != here()) co_return;
                while (live != 0) std::this_thread::yield();
                proved = true;
            };
            co_await when_all(victim(), hog());
        }
    });
}

}  // namespace
}  // namespace belay
