#include <belay/observability/impl/allow_registry.hpp>

#include <belay/observability/guardrails.hpp>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

namespace belay::detail {
namespace {

// A fixed table instead of a thread-local alone: the watchdog asks about another thread. Places are given back when their
// thread ends. More threads than places inside `allow` at once means a report too many, never a failure.
struct place {
    std::atomic<int> tid{0};  // 0: free
    std::atomic<int> depth{0};
    std::atomic<std::int64_t> ended_ns{0};  // when depth last became 0, on the steady clock
};
constinit std::array<place, 1024> places{};

struct my_place {
    place* mine = nullptr;
    ~my_place() {
        if (mine == nullptr) return;
        mine->depth.store(0, std::memory_order_relaxed);
        mine->ended_ns.store(0, std::memory_order_relaxed);
        mine->tid.store(0, std::memory_order_release);  // pairs with the acquire of whoever takes it next
    }
};
thread_local my_place here;

/// In a child of fork() no other thread is there, and this one has another id.
void keep_own_place() noexcept {
    for (auto& p : places) {
        if (&p == here.mine) continue;
        p.depth.store(0, std::memory_order_relaxed);
        p.ended_ns.store(0, std::memory_order_relaxed);
        p.tid.store(0, std::memory_order_relaxed);
    }
    if (here.mine != nullptr) here.mine->tid.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
}

place* claim_place() noexcept {
    static const bool prepared = ::pthread_atfork(nullptr, nullptr, keep_own_place) == 0;
    static_cast<void>(prepared);
    int self = static_cast<int>(::syscall(SYS_gettid));
    for (auto& p : places) {
        int free = 0;
        if (p.tid.load(std::memory_order_relaxed) == 0 && p.tid.compare_exchange_strong(free, self, std::memory_order_acquire))
            return &p;
    }
    return nullptr;
}

}  // namespace

std::int64_t thread_allowed_until(int tid) noexcept {
    for (const auto& p : places) {
        if (p.tid.load(std::memory_order_relaxed) != tid) continue;
        // Acquire pairs with the release in ~allow(): a depth of 0 comes with the time of its end.
        if (p.depth.load(std::memory_order_acquire) > 0) return std::numeric_limits<std::int64_t>::max();
        return p.ended_ns.load(std::memory_order_relaxed);
    }
    return 0;
}

bool this_thread_is_allowed() noexcept {
    return here.mine != nullptr && here.mine->depth.load(std::memory_order_relaxed) > 0;  // written by this thread only
}

}  // namespace belay::detail

namespace belay::guardrails {

allow::allow(const char* why) noexcept : why_{why}, place_{nullptr} {
    auto& here = detail::here;
    if (here.mine == nullptr) here.mine = detail::claim_place();
    if (here.mine == nullptr) return;
    place_ = here.mine;
    here.mine->depth.fetch_add(1, std::memory_order_relaxed);
}

allow::~allow() {
    if (place_ == nullptr) return;
    auto& mine = *static_cast<detail::place*>(place_);
    if (mine.depth.load(std::memory_order_relaxed) == 1)
        mine.ended_ns.store(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1},
                            std::memory_order_relaxed);
    mine.depth.fetch_sub(1, std::memory_order_release);  // pairs with thread_allowed_until()
}

}  // namespace belay::guardrails
