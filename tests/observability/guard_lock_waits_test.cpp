// A wait for a lock is told from a wait for the host: whoever holds a lock and has no CPU made no mistake.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/thread_proc.hpp>
#include <belay/tests/observability/blocking_calls.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>

namespace belay {
namespace {

using namespace std::chrono_literals;

constexpr const char* policy = "all=log,stall=off,block=log:1ms";

/// The last CPU that this process may use.
int some_cpu() {
    cpu_set_t allowed;
    EXPECT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
    int found = 0;
    for (int i = 0; i < CPU_SETSIZE; ++i)
        if (CPU_ISSET(i, &allowed)) found = i;
    return found;
}

void stay_on(int cpu) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    ASSERT_EQ(::pthread_setaffinity_np(::pthread_self(), sizeof only, &only), 0);
}

/// A thread that takes a lock, and is given hardly any CPU for as long as it holds it.
template <class Lock>
class starving_holder {
public:
    explicit starving_holder(Lock& lock) {
        int cpu = some_cpu();
        spinner_ = std::thread{[this, cpu] {
            stay_on(cpu);
            spins_ = true;
            while (!over_) {}
        }};
        holder_ = std::thread{[this, cpu, &lock] {
            while (!spins_) ::sched_yield();
            std::unique_lock held{lock};
            stay_on(cpu);
            ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
            holds_ = true;
            for (auto begin = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - begin < 60ms;) ::sched_yield();
            held.unlock();
            over_.wait(false);  // nothing is known of a thread that has ended
        }};
        while (!holds_) ::sched_yield();
    }
    starving_holder(const starving_holder&) = delete;
    starving_holder& operator=(const starving_holder&) = delete;
    ~starving_holder() {
        over_ = true;
        over_.notify_all();
        holder_.join();
        spinner_.join();
    }

private:
    std::atomic<bool> spins_{false};
    std::atomic<bool> holds_{false};
    std::atomic<bool> over_{false};
    std::thread spinner_;
    std::thread holder_;
};

/// The functions that are named when a task waits for such a lock with `take`.
template <class Lock, class Take>
std::string named_of(Take take) {
    Lock lock;
    starving_holder<Lock> holder{lock};
    return test::names_of(test::blocking_calls_of([&] { take(lock); }, policy));
}

void take(auto& lock) { std::scoped_lock held{lock}; }

TEST(GuardLockWaits, AHolderThatHasNoCpuIsNoMistake) {
    if (::access("/proc/self/schedstat", R_OK) != 0) GTEST_SKIP() << "the kernel does not tell who waits for a CPU";
    EXPECT_EQ(named_of<std::mutex>([](auto& lock) { take(lock); }), "");
    EXPECT_EQ(named_of<std::shared_mutex>([](auto& lock) { take(lock); }), "");
    EXPECT_EQ(named_of<std::shared_mutex>([](auto& lock) { std::shared_lock held{lock}; }), "");
    EXPECT_EQ(named_of<std::timed_mutex>([](auto& lock) { EXPECT_TRUE((std::unique_lock{lock, 1h}.owns_lock())); }), "");
}

std::string text_of(const char* path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

/// Whether this host would have too few CPUs if two more threads ran: as many as there may be per CPU.
bool is_nearly_overloaded() {
    auto cpus = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
    return detail::is_overloaded(text_of("/proc/pressure/cpu"), text_of("/proc/loadavg"), cpus - 1);
}

/// What is named when a task waits for a lock while a thread sleeps with it, and whether the host had too few CPUs about then.
struct sleepers_wait {
    std::string named;
    bool overloaded;
};

sleepers_wait wait_for_a_sleeper() {
    std::mutex lock;
    std::atomic<bool> holds{false};
    std::atomic<bool> over{false};
    std::thread holder{[&] {
        {
            std::scoped_lock held{lock};
            holds = true;
            std::this_thread::sleep_for(100ms);
        }
        over.wait(false);
    }};
    while (!holds) ::sched_yield();
    bool overloaded = false;
    auto calls = test::blocking_calls_of(
        [&] {
            take(lock);
            guardrails::allow why{"the kernel may have us wait for what it tells of its load"};
            overloaded = is_nearly_overloaded();  // the guardrail asks at the end of this poll, when other threads run again
        },
        policy);
    over = true;
    over.notify_all();
    holder.join();
    return {test::names_of(calls), overloaded};
}

// Where the host has too few CPUs nothing is said, rightly.
TEST(GuardLockWaits, AHolderThatSleepsIsOne) {
    int silent = 0;
    for (int tries = 0; tries < 15 && silent < 8; ++tries) {
        auto [named, overloaded] = wait_for_a_sleeper();
        if (!named.empty()) {
            EXPECT_EQ(named, "pthread_mutex_lock");
            return;
        }
        if (!overloaded) ++silent;
    }
    if (silent < 8) GTEST_SKIP() << "this machine has too few CPUs for what runs on it";
    ADD_FAILURE() << "nothing was named";
}

}  // namespace
}  // namespace belay
