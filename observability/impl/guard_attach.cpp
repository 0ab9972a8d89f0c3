#include <belay/observability/impl/guard_attach.hpp>

#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/keep_loaded.hpp>
#include <belay/runtime/detail/guard_hooks.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <dlfcn.h>

#include <atomic>
#include <limits>

// In the program, or null. What is preloaded is found by name: a program is linked without it.
extern "C" __attribute__((weak)) bool belay_guard_attach(const belay::detail::guard_hooks*);

namespace belay::detail {
namespace {

constinit std::atomic<std::int64_t> shortest_call_ns{std::numeric_limits<std::int64_t>::max()};

const void* inside() noexcept {
    worker* w = this_worker();
    return w != nullptr && w->current() != nullptr ? w->stack_top : nullptr;
}
task_context here() noexcept {
    const void* top = inside();
    if (top == nullptr) return {};
    worker* w = this_worker();
    return {top, w->first_poll + w->epoch(), w->in_place() || this_thread_guards().own_code != 0};
}

void locked(const void* lock, const call_place& place, bool shared) noexcept { this_thread_guards().add(lock, place, shared); }
void unlocked(const void* lock) noexcept { this_thread_guards().remove(lock); }
void called(const guarded_call& call) noexcept {
    own_code mine;  // a signal's handler may come in between, and make a call of its own
    if (!this_thread_is_allowed()) this_worker()->note_call(call);
}

constexpr guard_hooks table{guard_abi, &inside,   &here,   &order_matters,   &order_taking,
                            &locked,   &unlocked, &called, &shortest_call_ns};

bool attach() noexcept {
    auto* attach_to = &belay_guard_attach;
    if (attach_to == nullptr) attach_to = reinterpret_cast<decltype(attach_to)>(::dlsym(RTLD_DEFAULT, "belay_guard_attach"));
    if (attach_to == nullptr || !attach_to(&table)) return false;
    keep_loaded(&table);
    return true;
}

}  // namespace

bool guard_is_attached() noexcept {
    static const bool found = attach();
    return found;
}

void attach_guard(const guardrails::policy& policy) noexcept {
    if (!guard_is_attached()) return;
    const auto& rule = policy[guardrail::blocking_call];
    if (rule.then == guardrails::action::off) return;
    auto limit = rule.threshold.count();
    auto known = shortest_call_ns.load(std::memory_order_relaxed);
    while (limit < known && !shortest_call_ns.compare_exchange_weak(known, limit, std::memory_order_relaxed)) {}
}

}  // namespace belay::detail

namespace belay::guardrails {

bool guard_attached() noexcept { return detail::guard_is_attached(); }

}  // namespace belay::guardrails
