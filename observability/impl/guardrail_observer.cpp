#include <belay/observability/impl/guardrail_observer.hpp>

#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/at_fork.hpp>
#include <belay/observability/impl/event_reports.hpp>
#include <belay/observability/impl/guard_attach.hpp>
#include <belay/observability/impl/report_thread.hpp>
#include <belay/observability/impl/self_test.hpp>
#include <belay/observability/impl/source_text.hpp>
#include <belay/observability/impl/stall_report.hpp>
#include <belay/observability/impl/starvation_report.hpp>
#include <belay/observability/impl/suppressions.hpp>
#include <belay/observability/impl/symbols.hpp>
#include <belay/observability/impl/syscall_dispatch.hpp>
#include <belay/observability/impl/syscall_text.hpp>
#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/yield.hpp>  // stop_requested_here

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;

std::uint64_t place_of(const task_snapshot& task) noexcept {
    place_hash hash;
    hash.add(task.spawned);
    if (task.depth > 0) hash.add(task.stack[0]);
    return hash.value();
}

std::source_location innermost(const task_snapshot& task) noexcept { return task.depth > 0 ? task.stack[0] : task.spawned; }

/// A lock that is taken for microseconds is held for as long as the host takes the CPU away from its holder: that says nothing about
/// the program. Of the first holder it is known how long that was; what others that may have held it lost is not.
bool is_the_hosts_fault(const blocking_call& call, std::chrono::nanoseconds threshold) noexcept {
    constexpr std::chrono::milliseconds most_of_others{20};  // some turns of other threads, on a host with enough CPUs
    if (!std::ranges::any_of(std::array{"pthread_mutex_", "pthread_rwlock_", "mtx_"},
                             [&](const char* kind) { return call.function.starts_with(kind); }))
        return false;
    auto rest = call.elapsed - std::chrono::nanoseconds{call.lost.ns};
    return rest < threshold + (call.lost.or_more ? most_of_others : 0ms) || host_is_overloaded();
}

/// Two are enough to tell places apart, and are the same after a restart.
void add_callers(place_hash& place, const call_place& callers) noexcept {
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(callers.depth, 2); ++i) place.add(module_offset(callers.callers[i]));
}

bool wants_syscalls(const guardrails::policy& policy) noexcept {
    const auto& rule = policy[guardrail::blocking_call];
    return rule.syscalls && rule.then != guardrails::action::off;
}

/// The time after the last `allow` of the poll counts against its task, the time before does not.
bool allowed(const worker_stall& stall, std::chrono::nanoseconds threshold) noexcept {
    auto until = thread_allowed_until(stall.tid);
    auto now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
    return until > now - threshold.count();
}

// What is described later, by when the code that it was in may have been unloaded: places in it are left out.

void forget_unloaded(task_snapshot& task) noexcept {
    if (can_be_shown(task)) return;
    task.spawned = {};
    task.depth = 0;
}
void forget_unloaded(held_lock& lock) noexcept {
    if (!can_be_shown(lock.site)) lock.site = {};
}
void forget_unloaded(std::vector<held_lock>& locks) noexcept {
    for (held_lock& lock : locks) forget_unloaded(lock);
}
void forget_unloaded(order_inversion& found) noexcept {
    forget_unloaded(found.task);
    for (order_step& step : found.steps) {
        forget_unloaded(step.held);
        forget_unloaded(step.taken);
    }
}
template <class T>
T still_loaded(T kept) {
    forget_unloaded(kept);
    return kept;
}

}  // namespace

guardrail_observer::guardrail_observer(std::string runtime, const guardrails::policy& policy)
    : about_{std::make_shared<about>(std::move(runtime))},
      dispatches_{wants_syscalls(policy) && syscall_dispatch::prepare()},
      policy_{policy} {}

void guardrail_observer::worker_began() noexcept {
    if (dispatches_) syscall_dispatch::begin();
}
void guardrail_observer::worker_ended() noexcept {
    if (dispatches_) syscall_dispatch::end();
}

/// Not for long: whoever ends the process may hold what a sink waits for.
void guardrail_observer::process_aborts() noexcept { process_report_thread().wait(2s); }

/// What a runtime has found is written when it is gone, unless a sink does not return.
guardrail_observer::~guardrail_observer() { process_report_thread().wait(); }

guardrails::rule guardrail_observer::rule_of(guardrail kind) const noexcept {
    std::lock_guard lock{mutex_};
    return policy_[kind];
}

void guardrail_observer::set_policy(const guardrails::policy& policy) noexcept {
    std::lock_guard lock{mutex_};
    policy_ = policy;
}

std::chrono::nanoseconds guardrail_observer::threshold_of(guardrail kind) const noexcept {
    auto rule = rule_of(kind);
    return rule.then == guardrails::action::off ? std::chrono::nanoseconds{0} : rule.threshold;
}

std::chrono::nanoseconds guardrail_observer::stall_threshold() const noexcept { return threshold_of(guardrail::blocked_worker); }
std::chrono::nanoseconds guardrail_observer::stop_limit() const noexcept { return threshold_of(guardrail::stop_ignored); }
std::chrono::nanoseconds guardrail_observer::deadlock_period() const noexcept { return threshold_of(guardrail::deadlock); }
std::chrono::nanoseconds guardrail_observer::pool_wait_limit() const noexcept { return threshold_of(guardrail::pool_saturated); }
std::chrono::nanoseconds guardrail_observer::starvation_limit() const noexcept { return threshold_of(guardrail::starvation); }

/// Nothing may be thrown at a runtime: without memory the report is one line, with the place `where`.
template <class Describe>
void guardrail_observer::write(about& of, const finding& found, Describe&& describe) noexcept {
    try {
        publish(of, found, std::forward<Describe>(describe)());
    } catch (...) {
        process_reporter().publish_briefly(found.kind, found.then, found.where);
    }
}

void guardrail_observer::publish(about& of, const finding& found, report r) {
    r.action = found.then;
    if (r.runtime.empty()) r.runtime = of.runtime;
    r.stack_id = found.key;
    r.occurrence = found.admitted.occurrence;
    r.suppressed = found.admitted.suppressed;
    if (is_suppressed(r)) return process_reporter().suppress(found.kind, found.key, found.admitted, of.counters);
    process_reporter().publish(r);
}

guardrail_observer::finding guardrail_observer::count(guardrail kind, std::uint64_t key, std::source_location where) noexcept {
    auto then = rule_of(kind).then;
    return {kind, key, where, then, process_reporter().admit(kind, key, then, about_->counters)};
}

// Counts, and makes the report with `describe` if one is due. It is written by the thread of reports: a sink that takes long, or does not
// return, holds up neither a worker nor the watchdog. Before a panic it is done here: nobody goes on then.
template <class Describe>
void guardrail_observer::raise(guardrail kind, std::uint64_t key, std::source_location where, Describe&& describe) noexcept {
    auto found = count(kind, key, where);
    if (!found.admitted.write) return;
    if (found.then == guardrails::action::panic) return write(*about_, found, std::forward<Describe>(describe));
    try {
        process_report_thread().run(
            [of = about_, found, r = std::forward<Describe>(describe)()] { write(*of, found, [&] { return r; }); });
    } catch (...) {
        process_reporter().publish_briefly(kind, found.then, where);
    }
}

// The same for reports with names of code addresses, which take long to find: they are made on that thread, too. `keep()` returns the
// function that describes, with copies of all it needs.
template <class Keep>
void guardrail_observer::raise_there(guardrail kind, std::uint64_t key, std::source_location where, Keep&& keep) noexcept {
    auto found = count(kind, key, where);
    if (!found.admitted.write) return;
    try {
        auto describe = std::forward<Keep>(keep)();
        if (found.then == guardrails::action::panic) return write(*about_, found, describe);
        process_report_thread().run([of = about_, found, describe = std::move(describe)] { write(*of, found, describe); });
    } catch (...) {
        process_reporter().publish_briefly(kind, found.then, where);
    }
}

void guardrail_observer::worker_suspected(unsigned worker, int tid, std::uint64_t /*pthread*/) noexcept {
    try {
        stalls_.suspect(worker, tid);
    } catch (...) {  // no memory: worker_stalled() looks for itself
    }
}

void guardrail_observer::worker_stalled(const worker_stall& stall) noexcept {
    try {
        auto threshold = stall_threshold();
        if (threshold.count() == 0 || allowed(stall, threshold) || is_traced()) return;
        auto verdict = stalls_.judge(stall, threshold);
        if (!verdict) return;
        if (verdict->first) process_reporter().count_stall(verdict->found, about_->counters);
        if (verdict->found == stall_class::starved) return;
        raise(guardrail::blocked_worker, place_of(stall.task), innermost(stall.task),
              [&] { return describe_stall(stall, *verdict, gather(stall, *verdict), threshold); });
    } catch (...) {  // no memory to look at it
    }
}

void guardrail_observer::guard_across_suspension(const task_snapshot& task, std::span<const held_lock> locks) noexcept {
    place_hash place;
    if (!locks.empty()) {
        place.add(locks.front().site);
        add_callers(place, locks.front().callers);
    }
    if (task.depth > 0) place.add(task.stack[0]);
    raise_there(guardrail::guard_across_suspension, place.value(), innermost(task), [&] {
        return [task, kept = std::vector<held_lock>(locks.begin(), locks.end())] {
            return describe_held_locks(still_loaded(task), still_loaded(kept));
        };
    });
}

void guardrail_observer::blocking_called(const task_snapshot& task, const blocking_call& call) noexcept {
    auto threshold = rule_of(guardrail::blocking_call).threshold;
    bool any = threshold == std::chrono::nanoseconds{0};
    if ((!any && (!call.slept || call.elapsed < threshold)) || is_traced()) return;
    if (!any && is_the_hosts_fault(call, threshold)) return;
    place_hash place;
    place.add(call.function);
    add_callers(place, call.callers);
    if (task.depth > 0) place.add(task.stack[0]);
    raise_there(guardrail::blocking_call, place.value(), innermost(task), [&] {
        auto descriptor = call.fd >= 0 ? describe_descriptor(call.fd) : std::string{};  // now: it may be closed, and another one
        return [task, call, descriptor, threshold] {
            return describe_blocking_call(still_loaded(task), call, descriptor, threshold);
        };
    });
}

void guardrail_observer::tasks_leaked(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks,
                                      std::size_t total) noexcept {
    place_hash place;
    place.add(where);
    if (!tasks.empty()) place.add(tasks.front().spawned);
    raise(guardrail::task_leak, place.value(), tasks.empty() ? std::source_location{} : innermost(tasks.front()),
          [&] { return describe_leak(runtime, where, tasks, total); });
    process_report_thread().wait();  // a runtime with such tasks may never be gone
}

void guardrail_observer::stop_ignored(const ignored_stop& stop) noexcept {
    if (is_traced()) return;
    place_hash place;
    place.add(stop.scope);
    if (!stop.tasks.empty()) {
        place.add(stop.tasks.front().spawned);
        if (stop.tasks.front().depth > 0) place.add(stop.tasks.front().stack[0]);
    }
    raise(guardrail::stop_ignored, place.value(), stop.tasks.empty() ? std::source_location{} : innermost(stop.tasks.front()),
          [&] { return describe_ignored_stop(stop); });
}

void guardrail_observer::order_inverted(const order_inversion& found) noexcept {
    place_hash place;
    for (const order_step& step : found.steps) {
        for (const held_lock* lock : {&step.held, &step.taken}) {
            place.add(lock->site);
            add_callers(place, lock->callers);
        }
    }
    raise_there(guardrail::lock_order, place.value(), innermost(found.task),
                [&] { return [found] { return describe_inversion(still_loaded(found)); }; });
}

void guardrail_observer::deadlocked(const deadlock& found) noexcept {
    place_hash place;
    for (const auto& stuck : found.tasks) {
        place.add(stuck.task.spawned);
        if (stuck.task.depth > 0) place.add(stuck.task.stack[0]);
    }
    raise(guardrail::deadlock, place.value(), innermost(found.tasks.front().task), [&] { return describe_deadlock(found); });
}

void guardrail_observer::cleanup_overran(const task_snapshot& task, std::chrono::nanoseconds grace,
                                         std::chrono::nanoseconds had) noexcept {
    raise(guardrail::cleanup_overrun, place_of(task), innermost(task),
          [&] { return describe_overrun_cleanup(task, grace, had); });
}

void guardrail_observer::pool_saturated(const saturated_pool& pool) noexcept {
    if (is_traced()) return;
    place_hash place;
    place.add(pool.pool);
    raise(guardrail::pool_saturated, place.value(), innermost(pool.task), [&] { return describe_saturated_pool(pool); });
}

void guardrail_observer::starved(const starvation& found) noexcept {
    auto threshold = starvation_limit();
    if (is_traced()) return;
    place_hash place;
    place.add(static_cast<std::uint64_t>(found.queue)).add(place_of(found.task));
    raise(guardrail::starvation, place.value(), innermost(found.task), [&] { return describe_starvation(found, threshold); });
}

void guardrail_observer::fanned_out(std::string_view scope, std::size_t tasks, std::source_location spawned) noexcept {
    raise(guardrail::fan_out, place_hash{}.add(scope).add(spawned).value(), spawned,
          [&] { return describe_fan_out(scope, tasks, spawned); });
}

void guardrail_observer::error_lost(std::string_view scope, std::source_location spawned, std::exception_ptr error) noexcept {
    raise(guardrail::lost_error, place_hash{}.add(scope).add(spawned).value(), spawned,
          [&] { return describe_lost_error(scope, spawned, error); });
}

void guardrail_observer::hook_failed(std::string_view hook, unsigned worker, std::exception_ptr error) noexcept {
    raise(guardrail::lost_error, place_hash{}.add(hook).value(), {}, [&] { return describe_failed_hook(hook, worker, error); });
}

void guardrail_observer::never_awaited(std::source_location made, std::span<const std::source_location> given) noexcept {
    // An exception or a stop between making a task and awaiting it destroys the task, which is as it should be.
    if (std::uncaught_exceptions() > 0 || stop_requested_here()) return;
    place_hash place;
    place.add(made);
    for (const auto& one : given) place.add(one);  // all timeouts are made at one place
    raise(guardrail::never_awaited, place.value(), made, [&] { return describe_never_awaited(made, given); });
}

void guardrail_observer::captures_borrowed(std::source_location made, std::source_location spawned) noexcept {
    raise(guardrail::borrowed_captures, place_hash{}.add(made).add(spawned).value(), spawned,
          [&] { return describe_borrowed_captures(made, spawned); });
}

namespace {

guardrails::policy initial_process_policy() noexcept {
    try {
        return guardrails::effective_policy("");
    } catch (...) {  // a wrong BELAY_GUARDRAILS; every runtime says so when it is made
        return guardrails::default_policy();
    }
}

guardrail_observer& process_guardrails() noexcept {
    static auto* the_one = [] {  // never destroyed, as the reporter
        auto* made = new guardrail_observer{"", initial_process_policy()};
        hold_at_fork<[]() -> std::mutex& { return process_guardrails().lock(); }>();
        return made;
    }();
    return *the_one;
}

}  // namespace
}  // namespace belay::detail

namespace belay {

std::shared_ptr<observer> make_observer(std::string_view runtime, std::string_view policy) {
    auto effective = guardrails::effective_policy(policy);
    detail::load_suppressions_once();
    detail::attach_guard(effective);
    if (effective[guardrail::lock_order].then != guardrails::action::off) detail::watch_order();
    auto made = std::make_shared<detail::guardrail_observer>(std::string{runtime}, effective);
    detail::announce_once();  // after it: what was asked for has been tried
    return made;
}

observer& process_observer() noexcept { return detail::process_guardrails(); }

void guardrails::set_process_policy(std::string_view text) { detail::process_guardrails().set_policy(effective_policy(text)); }

}  // namespace belay
