#include <belay/observability/impl/report_thread.hpp>

#include <belay/observability/impl/keep_loaded.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace belay::detail {
namespace {

constexpr pid_t no_thread = -1;

thread_local int sinks_here = 0;

/// The program's signal handlers run on its own threads, but for what a fault on this one brings about.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t most;
        sigfillset(&most);
        for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&most, fault);
        ::pthread_sigmask(SIG_SETMASK, &most, &before_);
    }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// A worker that has begun it may be bound to a CPU, or have a priority.
void become_like_the_main_thread() noexcept {
    cpu_set_t cpus;
    if (::sched_getaffinity(::getpid(), sizeof cpus, &cpus) == 0) ::sched_setaffinity(0, sizeof cpus, &cpus);
    sched_param none{};
    ::sched_setscheduler(0, SCHED_OTHER, &none);
}

/// The system's: on the thread of a simulation the clocks of the standard library are that one's.
timespec real_time_after(std::chrono::milliseconds wait) noexcept {
    timespec at{};
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &at);
    auto ns = at.tv_nsec + (wait % std::chrono::seconds{1}) / std::chrono::nanoseconds{1};
    at.tv_sec += static_cast<std::time_t>(wait / std::chrono::seconds{1}) + ns / 1'000'000'000;
    at.tv_nsec = ns % 1'000'000'000;
    return at;
}

}  // namespace

report_thread::in_sink::in_sink() noexcept { ++sinks_here; }
report_thread::in_sink::~in_sink() { --sinks_here; }

void report_thread::run(std::function<void()> work) {
    own_code mine;  // a task may be on this thread: its locks and calls are not these
    if (!is_there()) return work();
    {
        std::scoped_lock guard(lock_);
        if (std::this_thread::get_id() != id_ && !ended_) {
            queue_.push_back(std::move(work));
            ++given_;
            work = nullptr;
        }
    }
    if (work) return work();  // found while a report was written: the program's sink is at fault; or after exit()
    changed_.notify_all();
}

void report_thread::wait(std::chrono::milliseconds limit) noexcept {
    own_code mine;
    // relaxed: whoever has given work has seen the value, or has begun the thread.
    if (sinks_here != 0 || owner_.load(std::memory_order_relaxed) != ::getpid()) return;
    auto until = real_time_after(limit);
    std::scoped_lock guard(lock_);
    if (std::this_thread::get_id() == id_) return;
    for (auto all = given_; done_ < all;)
        if (::pthread_cond_clockwait(changed_.native_handle(), lock_.native_handle(), CLOCK_MONOTONIC, &until) != 0) return;
}

void report_thread::end() noexcept {
    wait();
    std::scoped_lock guard(lock_);
    ended_ = true;
}

// relaxed: there is no other thread.
void report_thread::forget() noexcept { owner_.store(no_thread, std::memory_order_relaxed); }

/// The lock is not touched unless this process has the thread: at a fork another thread may have held it.
bool report_thread::is_there() noexcept {
    // acquire: pairs with the release in begin().
    if (owner_.load(std::memory_order_acquire) == 0) begin();
    return owner_.load(std::memory_order_acquire) == ::getpid();
}

void report_thread::begin() noexcept {
    std::scoped_lock guard(lock_);
    if (owner_.load(std::memory_order_relaxed) != 0) return;  // under lock_
    pid_t owner = no_thread;
    try {
        signals_blocked blocked;
        std::thread thread{[this] { serve(); }};
        ::pthread_setname_np(thread.native_handle(), "belay-reports");
        id_ = thread.get_id();
        thread.detach();
        keep_loaded(&no_thread);  // its code, too
        owner = ::getpid();
        std::atexit([] { process_report_thread().end(); });
    } catch (...) {  // no threads are left, or no memory
    }
    owner_.store(owner, std::memory_order_release);  // pairs with the acquire in is_there()
}

void report_thread::serve() noexcept {
    become_like_the_main_thread();
    std::unique_lock guard(lock_);
    for (;;) {
        changed_.wait(guard, [&] { return !queue_.empty(); });
        auto work = std::move(queue_.front());
        queue_.pop_front();
        guard.unlock();
        work();
        work = nullptr;  // what it held is gone before anybody is told that it is done
        guard.lock();
        ++done_;
        changed_.notify_all();
    }
}

report_thread& process_report_thread() noexcept {
    static auto* the_one = [] {
        auto* made = new report_thread;
        ::pthread_atfork(nullptr, nullptr, [] { process_report_thread().forget(); });
        return made;
    }();
    return *the_one;
}

}  // namespace belay::detail
