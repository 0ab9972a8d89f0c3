// cpu_pool: a bounded pool that is no larger than the machine.
#include <belay/runtime/cpu_pool.hpp>

#include <belay/runtime/scope.hpp>
#include <belay/tests/runtime/support.hpp>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <latch>
#include <semaphore>
#include <stop_token>
#include <string>

namespace belay {
namespace {

using namespace test;

class CpuPool : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(CpuPool, ReturnsValuesAndErrors) {
    cpu_pool cpu{rt};
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await cpu.run([] { return 5; }), 5);
        EXPECT_THROW(co_await cpu.run([]() -> int { throw std::runtime_error("function"); }), std::runtime_error);
    });
}

TEST_F(CpuPool, HasAsManyThreadsAsTheProcessMayUseCpus) {
    cpu_set_t all;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    EXPECT_GE(cpu_pool{rt}.threads(), 1U);
    EXPECT_LE(cpu_pool{rt}.threads(), static_cast<unsigned>(CPU_COUNT(&all)));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    // Of this thread alone: the others run on where they are.
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    unsigned threads = cpu_pool{rt}.threads();
    ASSERT_EQ(::sched_setaffinity(0, sizeof all, &all), 0);
    EXPECT_EQ(threads, 1U);
    EXPECT_EQ((cpu_pool{rt, {.threads = 7}}.threads()), 7U);
}

TEST_F(CpuPool, RunsAsManyFunctionsAtOnceAsItHasThreadsAndNoMore) {
    cpu_pool cpu{rt, {.threads = 3}};
    std::atomic<int> running{0}, most{0};
    std::latch all_in{3};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 60; ++i) {
                s.spawn([&, i]() -> task<> {
                    co_await cpu.run([&, i] {
                        int now = ++running;
                        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
                        if (i < 3) all_in.arrive_and_wait();  // ends only if three run at once
                        --running;
                    });
                });
                if (i == 2) co_await until([&] { return most >= 3; });
            }
            co_return;
        });
    });
    EXPECT_EQ(most, 3);
}

TEST_F(CpuPool, AStopEndsAComputationThatLooksAtItsToken) {
    cpu_pool cpu{rt};
    std::atomic<bool> started{false}, delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                std::uint64_t rounds = co_await cpu.run([&](std::stop_token stop) {
                    started = true;
                    std::uint64_t n = 0;
                    while (!stop.stop_requested()) ++n;
                    return n;
                });
                (void)rounds;
                delivered = true;
            });
            co_await until([&] { return started.load(); });
            s.request_stop();
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(CpuPool, ItsQueueIsBounded) {
    cpu_pool cpu{rt, {.name = "one", .threads = 1, .max_queued = 1, .when_full = when_full::reject}};
    std::binary_semaphore go{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await cpu.run([&] { go.acquire(); }); });
            co_await until([&] { return cpu.metrics().running == 1; });
            s.spawn([&]() -> task<> { co_await cpu.run([] {}); });
            co_await until([&] { return cpu.metrics().queued == 1; });
            EXPECT_THROW(co_await cpu.run([] {}), blocking_queue_full);
            EXPECT_THROW(co_await cpu.run([] {}, {.when_full = when_full::suspend, .max_wait = 1ms}), blocking_wait_exceeded);
            go.release();
        });
    });
}

TEST_F(CpuPool, ItsThreadsStandBackWhenTheyAreToldTo) {
    cpu_pool cpu{rt, {.nice = 5}};
    int before = ::getpriority(PRIO_PROCESS, 0);
    rt.block_on([&]() -> task<> {
        int there = co_await cpu.run([] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid))); });
        EXPECT_EQ(there, 5);
    });
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);  // of the pool's threads only
}

TEST_F(CpuPool, IsAmongTheRuntimesPools) {
    cpu_pool cpu{rt, {.name = "thumbnails"}};
    auto pools = rt.metrics().pools;
    EXPECT_TRUE(std::ranges::any_of(pools, [](const auto& p) { return p.name == "thumbnails"; }));
}

TEST_F(CpuPool, TheOptionsAreValidatedByName) {
    auto message = [&](const cpu_pool_options& o) -> std::string {
        try {
            cpu_pool pool{rt, o};
            return "";
        } catch (const std::invalid_argument& e) {
            return e.what();
        }
    };
    EXPECT_NE(message({.max_queued = 0}).find("cpu_pool_options.max_queued"), std::string::npos);
    EXPECT_NE(message({.keep_alive = -1ms}).find("cpu_pool_options.keep_alive"), std::string::npos);
    EXPECT_NE(message({.max_wait = 0ms}).find("cpu_pool_options.max_wait"), std::string::npos);
    EXPECT_NE(message({.nice = -1}).find("cpu_pool_options.nice"), std::string::npos);
    EXPECT_NE(message({.nice = 20}).find("cpu_pool_options.nice"), std::string::npos);
}

}  // namespace
}  // namespace belay
