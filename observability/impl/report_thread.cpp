#include <belay/observability/impl/report_thread.hpp>

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <system_error>
#include <utility>

namespace belay::detail {
namespace {

constexpr pid_t no_thread = -1;

/// The program's signal handlers run on its own threads, not on this one.
class all_signals_blocked {
public:
    all_signals_blocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    all_signals_blocked(const all_signals_blocked&) = delete;
    all_signals_blocked& operator=(const all_signals_blocked&) = delete;
    ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

}  // namespace

void report_thread::run(std::function<void()> work) {
    if (!is_there()) return work();
    {
        std::scoped_lock guard(lock_);
        if (std::this_thread::get_id() != id_) {
            queue_.push_back(std::move(work));
            ++given_;
            work = nullptr;
        }
    }
    if (work) return work();  // found while a report was written: the program's sink is at fault
    changed_.notify_all();
}

void report_thread::wait() noexcept {
    // relaxed: whoever has given work has seen the value, or has begun the thread.
    if (owner_.load(std::memory_order_relaxed) != ::getpid()) return;
    std::unique_lock guard(lock_);
    if (std::this_thread::get_id() == id_) return;
    changed_.wait(guard, [&, all = given_] { return done_ >= all; });
}

/// The lock is not touched before it is known that this process has the thread: at a fork another thread may have held it.
bool report_thread::is_there() noexcept {
    // acquire: pairs with the release in begin().
    pid_t owner = owner_.load(std::memory_order_acquire);
    if (owner == 0) {
        begin();
        owner = owner_.load(std::memory_order_acquire);
    }
    return owner == ::getpid();
}

void report_thread::begin() noexcept {
    std::scoped_lock guard(lock_);
    if (owner_.load(std::memory_order_relaxed) != 0) return;  // under lock_
    pid_t owner = no_thread;
    try {
        all_signals_blocked blocked;
        std::thread thread{[this] { serve(); }};
        ::pthread_setname_np(thread.native_handle(), "belay-reports");
        id_ = thread.get_id();
        thread.detach();
        owner = ::getpid();
    } catch (const std::system_error&) {  // no threads are left
    } catch (...) {  // no memory
    }
    owner_.store(owner, std::memory_order_release);  // pairs with the acquire in is_there()
}

void report_thread::serve() noexcept {
    std::vector<std::function<void()>> taken;
    std::unique_lock guard(lock_);
    for (;;) {
        changed_.wait(guard, [&] { return !queue_.empty(); });
        taken.swap(queue_);
        guard.unlock();
        auto count = taken.size();
        for (auto& work : taken) work();
        taken.clear();  // what they held is gone before anybody is told that they are done
        guard.lock();
        done_ += count;
        changed_.notify_all();
    }
}

report_thread& process_report_thread() noexcept {
    static auto* the_one = new report_thread;
    return *the_one;
}

}  // namespace belay::detail
