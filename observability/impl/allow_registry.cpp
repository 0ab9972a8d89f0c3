#include <belay/observability/impl/allow_registry.hpp>

#include <belay/observability/guardrails.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace belay::detail {
namespace {

// A fixed table instead of a thread-local alone: the watchdog asks about another thread. Places are given back when their
// thread ends. More threads than places inside `allow` at once means a report too many, never a failure.
struct place {
    std::atomic<int> tid{0};  // 0: free
    std::atomic<int> depth{0};
};
constinit std::array<place, 1024> places{};

struct my_place {
    place* mine = nullptr;
    ~my_place() {
        if (mine == nullptr) return;
        mine->depth.store(0, std::memory_order_relaxed);
        mine->tid.store(0, std::memory_order_release);  // pairs with the acquire of whoever takes it next
    }
};
thread_local my_place here;

place* claim_place() noexcept {
    int self = static_cast<int>(::syscall(SYS_gettid));
    for (auto& p : places) {
        int free = 0;
        if (p.tid.load(std::memory_order_relaxed) == 0 && p.tid.compare_exchange_strong(free, self, std::memory_order_acquire))
            return &p;
    }
    return nullptr;
}

}  // namespace

bool thread_is_allowed(int tid) noexcept {
    for (const auto& p : places)
        if (p.tid.load(std::memory_order_relaxed) == tid && p.depth.load(std::memory_order_relaxed) > 0) return true;
    return false;
}

}  // namespace belay::detail

namespace belay::guardrails {

allow::allow(const char* why) noexcept : why_{why}, depth_{nullptr} {
    auto& here = detail::here;
    if (here.mine == nullptr) here.mine = detail::claim_place();
    if (here.mine == nullptr) return;
    depth_ = &here.mine->depth;
    depth_->fetch_add(1, std::memory_order_relaxed);
}

allow::~allow() {
    if (depth_ != nullptr) depth_->fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace belay::guardrails
