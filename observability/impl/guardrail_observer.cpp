#include <belay/observability/impl/guardrail_observer.hpp>

#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/event_reports.hpp>
#include <belay/observability/impl/source_text.hpp>
#include <belay/observability/impl/stall_report.hpp>
#include <belay/runtime/yield.hpp>  // stop_requested_here

#include <exception>
#include <utility>

namespace belay::detail {
namespace {

std::uint64_t place_of(const task_snapshot& task) noexcept {
    place_hash hash;
    hash.add(task.spawned);
    if (task.depth > 0) hash.add(task.stack[0]);
    return hash.value();
}

/// The time after the last `allow` of the poll counts against its task, the time before does not.
bool allowed(const worker_stall& stall, std::chrono::nanoseconds threshold) noexcept {
    auto until = thread_allowed_until(stall.tid);
    auto now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
    return until > now - threshold.count();
}

}  // namespace

guardrail_observer::guardrail_observer(std::string runtime, const guardrails::policy& policy)
    : runtime_{std::move(runtime)}, policy_{policy} {}

guardrails::rule guardrail_observer::rule_of(guardrail kind) const noexcept {
    std::lock_guard lock{mutex_};
    return policy_[kind];
}

void guardrail_observer::set_policy(const guardrails::policy& policy) noexcept {
    std::lock_guard lock{mutex_};
    policy_ = policy;
}

std::chrono::nanoseconds guardrail_observer::stall_threshold() const noexcept {
    auto rule = rule_of(guardrail::blocked_worker);
    return rule.then == guardrails::action::off ? std::chrono::nanoseconds{0} : rule.threshold;
}

// Counts, and writes the report that `describe` makes if one is due. Nothing may be thrown at a runtime: what cannot be
// described for lack of memory has been counted.
template <class Describe>
void guardrail_observer::raise(guardrail kind, std::uint64_t key, Describe&& describe) noexcept {
    auto rule = rule_of(kind);
    auto admitted = process_reporter().admit(kind, key, rule.then, counters_);
    if (!admitted.write) return;
    try {
        report r = std::forward<Describe>(describe)();
        r.action = rule.then;
        if (r.runtime.empty()) r.runtime = runtime_;
        r.stack_id = key;
        r.occurrence = admitted.occurrence;
        r.suppressed = admitted.suppressed;
        process_reporter().publish(r);
    } catch (...) {  // no memory
        if (rule.then == guardrails::action::panic) std::terminate();
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
        if (verdict->first) process_reporter().count_stall(verdict->found, counters_);
        if (verdict->found == stall_class::starved) return;
        raise(guardrail::blocked_worker, place_of(stall.task),
              [&] { return describe_stall(stall, *verdict, gather(stall, *verdict), threshold); });
    } catch (...) {  // no memory
    }
}

void guardrail_observer::guard_across_suspension(const task_snapshot& task, std::span<const held_lock> locks) noexcept {
    place_hash place;
    if (!locks.empty()) place.add(locks.front().site);
    if (task.depth > 0) place.add(task.stack[0]);
    raise(guardrail::guard_across_suspension, place.value(), [&] { return describe_held_locks(task, locks); });
}

void guardrail_observer::tasks_leaked(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks,
                                      std::size_t total) noexcept {
    place_hash place;
    place.add(where);
    if (!tasks.empty()) place.add(tasks.front().spawned);
    raise(guardrail::task_leak, place.value(), [&] { return describe_leak(runtime, where, tasks, total); });
}

void guardrail_observer::error_lost(std::string_view scope, std::source_location spawned, std::exception_ptr error) noexcept {
    raise(guardrail::lost_error, place_hash{}.add(scope).add(spawned).value(),
          [&] { return describe_lost_error(scope, spawned, error); });
}

void guardrail_observer::never_awaited(std::source_location made) noexcept {
    // An exception or a stop between making a task and awaiting it destroys the task, which is as it should be.
    if (std::uncaught_exceptions() > 0 || stop_requested_here()) return;
    raise(guardrail::never_awaited, place_hash{}.add(made).value(), [&] { return describe_never_awaited(made); });
}

void guardrail_observer::captures_borrowed(std::source_location made, std::source_location spawned) noexcept {
    raise(guardrail::borrowed_captures, place_hash{}.add(made).add(spawned).value(),
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
    static auto* the_one = new guardrail_observer{"", initial_process_policy()};  // never destroyed, as the reporter
    return *the_one;
}

}  // namespace
}  // namespace belay::detail

namespace belay {

std::shared_ptr<observer> make_observer(std::string_view runtime, std::string_view policy) {
    return std::make_shared<detail::guardrail_observer>(std::string{runtime}, guardrails::effective_policy(policy));
}

observer& process_observer() noexcept { return detail::process_guardrails(); }

void guardrails::set_process_policy(std::string_view text) { detail::process_guardrails().set_policy(effective_policy(text)); }

}  // namespace belay
