#include <belay/runtime/detail/pool_watch.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/blocking_job.hpp>
#include <belay/runtime/observer.hpp>

#include <algorithm>

namespace belay::detail {

pool_watch::pool_watch(runtime_core& core) noexcept
    : core_{core},
      limit_ns_{core.watcher->pool_wait_limit().count()},
      tick_ns_{limit_ns_ > 0 ? std::max<std::int64_t>(limit_ns_ / 4, 1'000'000) : no_deadline},
      lost_{limit_ns_} {}

void pool_watch::look(std::int64_t now) noexcept {
    if (tick_ns_ == no_deadline || now < due_ns_) return;
    due_ns_ = saturating_add(now, tick_ns_);
    somebody_waits_ = false;
    look_at(core_.blocking->core(), now);
    try {
        for (const auto& pool : core_.user_pools()) look_at(*pool, now);
    } catch (...) {  // no memory: another time
    }
}

void pool_watch::look_at(blocking_core& pool, std::int64_t now) noexcept {
    saturated_pool found;
    auto state = pool.look(now - limit_ns_, lost_, found);
    somebody_waits_ = somebody_waits_ || state != blocking_core::queue_state::empty;
    if (state == blocking_core::queue_state::saturated) core_.watcher->pool_saturated(found);
}

}  // namespace belay::detail
