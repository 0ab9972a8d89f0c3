#include <belay/runtime/detail/live_runtimes.hpp>

namespace belay::detail {

constinit std::atomic<runtime_place*> runtime_places{nullptr};

void list_runtime(runtime_core& core) {
    // acquire, pairs with the release below: `next` is set. Who is in a place orders nothing: the debugger stops all threads.
    for (auto* place = runtime_places.load(std::memory_order_acquire); place != nullptr; place = place->next) {
        runtime_core* nobody = nullptr;
        if (place->runtime.compare_exchange_strong(nobody, &core, std::memory_order_relaxed)) return;
    }
    auto* place = new runtime_place{{&core}, runtime_places.load(std::memory_order_relaxed)};
    while (!runtime_places.compare_exchange_weak(place->next, place, std::memory_order_release, std::memory_order_relaxed)) {}
}

void unlist_runtime(runtime_core& core) noexcept {
    for (auto* place = runtime_places.load(std::memory_order_acquire); place != nullptr; place = place->next) {
        runtime_core* listed = &core;
        if (place->runtime.compare_exchange_strong(listed, nullptr, std::memory_order_relaxed)) return;
    }
}

}  // namespace belay::detail
