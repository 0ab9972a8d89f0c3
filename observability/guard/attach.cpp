// belay::guard's own state, and how belay finds it.
#include <belay/observability/guard/interpose.hpp>

namespace belay::guard {

constinit std::atomic<const detail::guard_hooks*> attached{nullptr};

void walk(const void* frame, const void* top, detail::call_place& place) noexcept {
    // A frame is the caller's frame pointer and the return address. A function without one leaves in the register whatever it
    // likes; only what lies in this thread's stack, above the last frame, is followed.
    struct link {
        const link* up;
        std::uintptr_t back;
    };
    place.depth = 0;
    const auto* at = static_cast<const link*>(frame);
    // A signal handler's stack, or a fiber's, is not the one that ends at `top`: then what is above is not known to be there.
    constexpr std::uintptr_t largest_stack = 1U << 20U;
    bool ours = reinterpret_cast<std::uintptr_t>(top) - reinterpret_cast<std::uintptr_t>(frame) < largest_stack;
    while (place.depth < detail::call_place::capacity) {
        if (at->back == 0) return;
        place.callers[place.depth++] = at->back - 1;  // inside the call, and not behind it
        if (!ours) return;
        const auto* up = at->up;
        if (up <= at || up + 1 > top || reinterpret_cast<std::uintptr_t>(up) % alignof(link) != 0) return;
        at = up;
    }
}

}  // namespace belay::guard

/// Called by belay once, when the first runtime is made. False: the two are of different versions, or another copy of belay was
/// here before; nothing is watched then.
extern "C" __attribute__((visibility("default"))) bool belay_guard_attach(const belay::detail::guard_hooks* hooks) {
    if (hooks->abi != belay::detail::guard_abi) return false;
    const belay::detail::guard_hooks* before = nullptr;
    // release, pairs with hooks().
    return belay::guard::attached.compare_exchange_strong(before, hooks, std::memory_order_acq_rel) || before == hooks;
}
