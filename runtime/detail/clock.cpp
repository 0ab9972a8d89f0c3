#include <belay/runtime/detail/clock.hpp>

namespace belay::detail {
namespace {
constinit thread_local const virtual_clock* current_clock = nullptr;
}  // namespace

constinit std::atomic<int> virtual_clocks{0};

[[gnu::noinline]] const virtual_clock* this_thread_clock() noexcept { return current_clock; }

virtual_time::virtual_time(const virtual_clock& clock) noexcept {
    current_clock = &clock;
    virtual_clocks.fetch_add(1, std::memory_order_relaxed);
}

virtual_time::~virtual_time() {
    virtual_clocks.fetch_sub(1, std::memory_order_relaxed);
    current_clock = nullptr;
}

}  // namespace belay::detail
