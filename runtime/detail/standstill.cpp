#include <belay/runtime/detail/standstill.hpp>

#include <belay/runtime/detail/worker.hpp>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace belay::detail {
namespace {

constexpr std::int64_t look_again_ns = 20'000;

bool membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

bool standstill::possible() noexcept {
    static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    return registered;
}

standstill::standstill(runtime_core& core, std::int64_t patience_ns) noexcept : core_{core} {
    if (!possible()) return;
    core_.halted.store(1, std::memory_order_seq_cst);
    reached_ = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) && wait_for_polls(patience_ns);
}

standstill::~standstill() {
    // Pairs with the acquire in worker::begin_poll(): what was read of the tasks was read before they run on. seq_cst, because
    // notify_all() looks for waiters afterwards: it must not look before.
    core_.halted.store(0, std::memory_order_seq_cst);
    core_.halted.notify_all();
}

bool standstill::is_in_the_way() const noexcept {
    return core_.idle_.count() != core_.serving.load(std::memory_order_relaxed) || core_.injected() != 0;
}

bool standstill::wait_for_polls(std::int64_t patience_ns) noexcept {
    std::int64_t until = now_ns() + patience_ns;
    auto count = static_cast<unsigned>(core_.workers.size());
    for (unsigned i = 0; i < count; ++i) {
        const worker& w = core_.workers[i];
        // acquire, in epoch(): what the poll did to the task is visible.
        while ((w.epoch() & 1U) != 0) {
            if (w.in_place() || now_ns() >= until) return false;
            std::this_thread::sleep_for(std::chrono::nanoseconds{look_again_ns});
        }
    }
    // One that was made meanwhile and polls already?
    return core_.workers.size() == count;
}

}  // namespace belay::detail
