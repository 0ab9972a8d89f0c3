// How a runtime ends, and what it says of itself.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/host_turn.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/task.hpp>  // misuse

#include <unistd.h>

#include <algorithm>
#include <mutex>

namespace belay::detail {
namespace {
constexpr std::size_t reported_survivors = 64;
constexpr std::int64_t most_to_unwind_ns = 500'000'000;  // of the grace: an overloaded machine needs it
constexpr std::int64_t end_of_idle_threads_ns = 200'000'000;  // what threads that only have to leave get in any case

/// What is leaked stays reachable, for debuggers and for leak checkers.
struct abandoned_runtime {
    std::shared_ptr<runtime_core> core;
    abandoned_runtime* next;
};
std::atomic<abandoned_runtime*> abandoned_runtimes{nullptr};

void abandon(std::shared_ptr<runtime_core> core) {
    auto* node = new abandoned_runtime{std::move(core), abandoned_runtimes.load(std::memory_order_relaxed)};
    while (!abandoned_runtimes.compare_exchange_weak(node->next, node, std::memory_order_release, std::memory_order_relaxed)) {}
}
}  // namespace

void runtime_core::root_drained() noexcept {
    if (!draining_.load(std::memory_order_seq_cst)) return;
    std::scoped_lock guard(shutdown_lock_);
    drained_.notify_all();
}

shutdown_report runtime_core::shutdown(std::chrono::nanoseconds grace) {
    if (forked()) {
        // The threads are the parent's. What they own here can be neither stopped nor destroyed, so it is left alone.
        abandon(shared_from_this());
        return {};
    }
    if (!sim && this_thread_clock() != nullptr)
        misuse(
            "a runtime was shut down on a thread that has a simulation, whose clock is not the runtime's: destroy the simulation before, "
            "or shut the runtime down on another thread");
    std::unique_lock guard(shutdown_lock_);
    if (phase_ != phase::running) {
        drained_.wait(guard, [this] { return phase_ == phase::ended; });
        return *last_report_;
    }
    auto report = std::make_unique<shutdown_report>();
    report->survivors.reserve(reported_survivors);  // from here on nothing needs memory
    auto pools = user_pools();
    phase_ = phase::ending;
    std::int64_t deadline = saturating_add(now_ns(), std::max<std::int64_t>(grace.count(), 0));

    // Shields get what the grace leaves them: at its end there would be no time left to unwind what they protect.
    std::int64_t to_unwind = std::min<std::int64_t>(std::max<std::int64_t>(grace.count(), 0) / 4, most_to_unwind_ns);
    cleanup_limit_ns.store(deadline - to_unwind, std::memory_order_relaxed);  // published by the mark of the root scope
    guard.unlock();
    if (!drain(deadline)) root->close();

    report->abandoned = root->size();
    if (report->abandoned != 0) {
        root->for_each_pinned(reported_survivors, [&](record& rec) {
            report->survivors.emplace_back();
            snapshot_pinning(rec, report->survivors.back());
        });
        watcher->tasks_leaked(name, "shutdown", report->survivors, report->abandoned);
    }
    std::size_t stuck = stop_workers(deadline);
    // As in stop_workers(): an idle thread ends at once, but not in no time.
    std::int64_t pools_deadline = std::max(deadline, saturating_add(now_ns(), end_of_idle_threads_ns));
    stuck += blocking->close(pools_deadline);
    for (const auto& pool : pools) stuck += pool->close(pools_deadline);
    dog->stop();
    // Promise 10: what has not ended is leaked with everything that it may touch, never destroyed by force.
    if (report->abandoned != 0 || stuck != 0) abandon(shared_from_this());
    // Those who queued the last tasks may still be on their way out of inject().
    while (injecting_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    guard.lock();
    last_report_ = std::move(report);
    phase_ = phase::ended;
    drained_.notify_all();
    return *last_report_;
}

bool runtime_core::drain(std::int64_t deadline_ns) noexcept {
    draining_.store(true, std::memory_order_seq_cst);
    if (sim && sim->given_up()) {  // what its tasks wait for may have gone
        stopping_.store(true, std::memory_order_seq_cst);
        return root->close_if_empty();
    }
    root->stop_children(stop_reason::shutdown);
    // A grace that runs already, below something that was stopped before, is not met by that walk: nothing is asked twice.
    { std::scoped_lock guard(stand_ins_lock_); }  // a stand-in that is not met by the walk begins after the limit was set
    for (auto& w : workers) w->cut_graces(cleanup_limit_ns.load(std::memory_order_relaxed));
    if (how != flavour::threads) {
        auto empty = [](runtime_core& core) { return core.root->close_if_empty(); };
        if (sim) {
            bool drained = sim->run_out(deadline_ns, empty);
            stopping_.store(true, std::memory_order_seq_cst);
            return drained;
        }
        host_turn turn{*this, host_call::shutdown};
        bool drained = turn.run_out(deadline_ns, empty);
        stopping_.store(true, std::memory_order_seq_cst);  // before the turn ends: a poll() elsewhere must not find it idle
        return drained;
    }
    std::unique_lock guard(shutdown_lock_);
    auto until = std::chrono::steady_clock::time_point{std::chrono::nanoseconds{deadline_ns}};
    return drained_.wait_until(guard, until, [this] { return root->close_if_empty(); });
}

bool runtime_core::forked() const noexcept { return ::getpid() != process_; }

std::vector<std::shared_ptr<blocking_core>> runtime_core::user_pools() const {
    std::vector<std::shared_ptr<blocking_core>> alive;
    std::scoped_lock guard(pools_lock_);
    for (const auto& weak : pools_)
        if (auto pool = weak.lock()) alive.push_back(std::move(pool));
    return alive;
}

std::size_t runtime_core::stop_workers(std::int64_t deadline_ns) noexcept {
    stopping_.store(true, std::memory_order_seq_cst);
    std::thread coming;
    {
        std::scoped_lock guard(stand_ins_lock_);  // from here on no stand-in is made, and the one on its way gives up
        coming = std::move(coming_);
    }
    // A worker that is between two tasks ends at once; those inside a task get the rest of the grace, and together a little
    // more in case that the grace is over.
    std::int64_t limit = deadline_ns == no_deadline ? deadline_ns : std::max(deadline_ns, now_ns() + end_of_idle_threads_ns);
    for (bool some_run = true; some_run && now_ns() < limit;) {
        some_run = coming.joinable() && !coming_failed_.load(std::memory_order_acquire);
        for (auto& w : workers) {
            if (!w->thread.joinable() || w->ended.load(std::memory_order_acquire)) continue;
            w->port().wake();
            some_run = true;
        }
        if (some_run) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    std::size_t stuck = 0;
    if (coming.joinable()) {  // it was making its port, or in its start hook
        if (coming_failed_.load(std::memory_order_acquire)) {
            coming.join();
        } else {
            coming.detach();
            ++stuck;
        }
    }
    for (auto& w : workers) {
        if (!w->thread.joinable()) continue;
        if (w->ended.load(std::memory_order_acquire)) {
            w->thread.join();
        } else {
            w->abandoned.store(true, std::memory_order_relaxed);
            w->thread.detach();
            ++stuck;
        }
    }
    return stuck;
}

runtime_metrics runtime_core::metrics() const {
    runtime_metrics out;
    out.runtime = name;
    out.backend = io->name();
    out.backend_reason = io->reason();
    out.live_tasks = root->size();
    out.injected = injected();
    out.ready_wait_ns = static_cast<std::uint64_t>(dog->longest_ready_wait_ns());
    auto get = [](const std::atomic<std::uint64_t>& c) { return c.load(std::memory_order_relaxed); };
    for (const auto& w : workers) {
        const auto& c = w->counters;
        const auto& io_counters = w->port().counters;
        worker_metrics m{.polls = get(c.polls),
                         .spawned = get(c.spawned),
                         .completed = get(c.completed),
                         .failed = get(c.failed),
                         .stopped = get(c.stopped),
                         .steals = get(c.steals),
                         .parks = get(c.parks),
                         .wakeups = get(c.wakeups),
                         .budget_yields = get(c.budget_yields),
                         .timers_fired = get(c.timers_fired),
                         .takeovers = get(c.takeovers),
                         .busy_ns = get(c.busy_ns),
                         .io_submitted = get(io_counters.submitted),
                         .io_completed = get(io_counters.completed),
                         .io_enters = get(io_counters.enters),
                         .io_overflows = get(io_counters.overflows),
                         .io_completed_by_opcode = {},
                         .queue_depth = w->queued_with_pinned(),
                         .io_in_flight = w->port().in_flight(),
                         .timers = w->timers()};
        for (std::size_t i = 0; i < io_opcode_count; ++i) m.io_completed_by_opcode[i] = get(io_counters.completed_by_opcode[i]);
        out.workers.push_back(m);
    }
    out.pools.push_back(blocking->metrics());
    for (const auto& pool : user_pools()) out.pools.push_back(pool->metrics());
    out.in_place = in_place.load(std::memory_order_relaxed);
    out.stand_ins = workers.size() - regular_workers;
    for (std::size_t i = regular_workers; i < workers.size(); ++i) out.stand_ins_on_duty += workers[i].on_duty() ? 1 : 0;
    out.stop_latency = stop_latency.read();
    return out;
}

}  // namespace belay::detail
