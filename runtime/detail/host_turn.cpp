#include <belay/runtime/detail/host_turn.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/task.hpp>  // misuse

#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace belay::detail {
namespace {

constexpr std::size_t polls_between_clocks = 8;
constexpr int dry_turns = 3;  // turns in a row at a port that says that it is ready, and brings nothing
constexpr std::int64_t end_of_ready_tasks_ns = 200'000'000;  // what tasks that need not wait get after the grace

/// The kernel's number of this thread, asked for once; a child of fork() has another one.
int this_thread_id(pid_t process) noexcept {
    struct identity {
        pid_t process = 0;
        int tid = 0;
    };
    thread_local identity known;
    if (known.process != process) known = {process, static_cast<int>(::syscall(SYS_gettid))};
    return known.tid;
}

/// Ends a sleep of the worker, and says that the time has come. Fires on the worker's thread: nobody takes over for it.
class alarm final : public timer_entry {
public:
    alarm(worker& of, std::int64_t time_ns) noexcept {
        home = &of;
        if (time_ns != no_deadline) of.arm(*this, time_ns);
    }
    ~alarm() { home->disarm(*this); }
    [[nodiscard]] bool rang() const noexcept { return rang_; }

private:
    void fire() noexcept override { rang_ = true; }
    bool rang_ = false;
};

void refuse_own_task(host_call call) noexcept {
    switch (call) {
    case host_call::poll:
        misuse(
            "poll() was called inside a task of the same local_runtime, which is being polled already: write co_await "
            "belay::yield() to let its other tasks run");
    case host_call::run_until:
        misuse(
            "run_until() was called inside a task of the same local_runtime: write co_await instead, or spawn_blocking(...) "
            "around code that must block");
    case host_call::run_for:
        misuse("run_for() was called inside a task of the same local_runtime: write co_await belay::sleep_for(...)");
    case host_call::shutdown:
        misuse(
            "shutdown() waits for tasks and was called inside one of them: let the host call it, or end the task that it runs "
            "until");
    }
}

void refuse_other_worker(host_call call) noexcept {
    switch (call) {
    case host_call::poll: return;  // waits for nothing
    case host_call::run_until:
        misuse(
            "run_until() of a local_runtime was called on a worker of another runtime, which it would block: drive it with "
            "poll(), or on a thread of its own");
    case host_call::run_for:
        misuse(
            "run_for() of a local_runtime was called on a worker of another runtime, which it would block: drive it with "
            "poll(), or on a thread of its own");
    case host_call::shutdown: return;  // asked by local_runtime::shutdown(); a destructor has no choice
    }
}

}  // namespace

host_turn::host_turn(runtime_core& core, host_call call) noexcept : core_{core}, worker_{core.workers.front()} {
    if (core.forked())
        misuse(
            "a local_runtime was used in a child process of fork(): what it waits for belongs to the parent. Make one in the "
            "child");
    if (this_thread_clock() != nullptr)
        misuse(
            "a local_runtime was driven on a thread that has a simulation, whose clock is not the runtime's: destroy the simulation before, "
            "or drive the runtime on another thread");
    auto self = static_cast<std::uint64_t>(::pthread_self());
    // acquire, pairs with the release in the destructor: what the last driver did to the worker is visible.
    if (core.driven_.exchange(true, std::memory_order_acquire)) {
        if (worker_.pthread.load(std::memory_order_relaxed) == self) refuse_own_task(call);
        misuse(
            "two threads drive a local_runtime at the same time: only one may be in poll(), run_until(), run_for() or "
            "shutdown(). Spawning and waking need none of them");
    }
    if (this_worker() != nullptr) refuse_other_worker(call);
    worker_.pthread.store(self, std::memory_order_relaxed);
    worker_.stack_top = this;  // a local variable of the function that drives
    worker_.tid.store(this_thread_id(core.process()), std::memory_order_relaxed);
    worker_counters::bump(worker_.host_turns);
    become_worker();
}

void host_turn::become_worker() noexcept {
    outer_ = set_this_worker(&worker_);
    worker_.port_->bind_owner();
    core_.watcher->worker_began();
    last_ = core_.stopping();  // after the shutdown: it was not in the idle set, and nothing runs
    if (last_) return;
    if (!core_.idle_.remove(worker_.index_)) {
        // A notifier has claimed this worker and counted it as a searcher. It finds what there is without a search.
        worker_.searching_ = true;
        worker_counters::bump(worker_.counters.wakeups);
        worker_.leave_search(false);
    }
    core_.dog->notify();  // after the idle set says that somebody runs, as in worker::park()
}

host_turn::~host_turn() {
    end();
    core_.watcher->worker_ended();
    set_this_worker(outer_);
    core_.driven_.store(false, std::memory_order_release);
}

/// The same protocol as in worker::park(): into the idle set, one more look, and then the sleep, which is the host's.
bool host_turn::end() noexcept {
    if (ended_) return false;
    ended_ = true;
    worker_counters::bump(worker_.host_turns);
    if (worker_.searching_) worker_.leave_search(false);
    if (last_) {  // nobody comes back: nobody need be woken
        worker_.port_->prepare_wait(timer_wheel::never_ns);
        return false;
    }
    core_.idle_.add(worker_.index_);
    bool more = core_.injected_seq_cst() != 0 || worker_.queued() != 0 || worker_.pinned.waiting();
    // A time in the past makes the handle readable at once.
    worker_.port_->prepare_wait(more ? 0 : worker_.next_timer_ns());
    return more;
}

void host_turn::run(record& rec) noexcept {
    if (worker_.searching_) worker_.leave_search(true);
    worker_.poll(&rec);
}

void host_turn::run_until(const bool& done) noexcept {
    while (!done)
        if (record* rec = worker_.next_task()) run(*rec);
}

void host_turn::run_until(std::int64_t time_ns) noexcept {
    // Not by next_task(), which may fire the alarm and then go on to sleep.
    alarm time{worker_, time_ns};
    while (!time.rang()) {
        record* rec = worker_.next_local();
        if (rec == nullptr) {
            worker_.turn();
            rec = worker_.next_local();
        }
        if (rec != nullptr) {
            run(*rec);
        } else if (!time.rang() && !worker_.spin()) {
            worker_.park();
        }
    }
}

std::size_t host_turn::run_ready(std::size_t max_polls, std::int64_t max_time_ns) noexcept {
    std::int64_t end = saturating_add(now_ns(), std::max<std::int64_t>(max_time_ns, 0));
    std::size_t polls = 0;
    worker_.turn();
    bool turned = true;  // since the last poll: nothing is staged
    for (int dry = 0;;) {
        record* rec = worker_.next_local();
        if (rec == nullptr) {
            if (turned && (!worker_.port_->ready() || ++dry == dry_turns)) break;
            worker_.turn();
            turned = true;
            continue;
        }
        run(*rec);
        turned = false;
        dry = 0;
        ++polls;
        if (polls >= max_polls || (polls % polls_between_clocks == 0 && now_ns() >= end)) break;
    }
    return polls;
}

bool host_turn::run_out(std::int64_t deadline_ns, bool (*done)(runtime_core&)) noexcept {
    last_ = true;
    alarm grace{worker_, deadline_ns};
    std::int64_t limit = saturating_add(std::max(deadline_ns, now_ns()), end_of_ready_tasks_ns);
    std::size_t polls = 0;
    worker_.turn();  // what made the handle readable goes, whether there are tasks or not
    for (int dry = 0; !done(core_);) {
        record* rec = worker_.next_local();
        if (rec == nullptr) {
            worker_.turn();
            rec = worker_.next_local();
        }
        if (rec != nullptr) {
            run(*rec);
            dry = 0;
            if (++polls % polls_between_clocks == 0 && now_ns() >= limit) return false;
        } else if (!grace.rang() && now_ns() < deadline_ns) {
            worker_.park();
        } else if (!worker_.port_->ready() || ++dry == dry_turns) {
            return false;
        }
    }
    return true;
}

// relaxed: whether it is driven says nothing of anything else. Between two turns the port is prepared to wait: its handle is readable when
// a host would have to come.
bool runtime_core::host_is_away() const noexcept {
    if (how != flavour::hosted || driven_.load(std::memory_order_relaxed)) return false;
    pollfd handle{.fd = workers.front().port().wait_handle(), .events = POLLIN, .revents = 0};
    return ::poll(&handle, 1, 0) == 1;
}

}  // namespace belay::detail
