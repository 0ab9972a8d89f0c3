#include <belay/runtime/sleep.hpp>

#include <belay/runtime/detail/worker.hpp>

#include <mutex>

namespace belay::detail {

void sleep_awaiter::prepare() noexcept { home = this_worker(); }

bool sleep_awaiter::start() noexcept {
    std::int64_t when = when_.resolve(now_ns());
    worker& w = *home;
    {
        std::scoped_lock guard(w.timer_lock());
        if (!stopped_early_) {
            w.arm_locked(*this, when);
            return true;  // from here on it may fire, on another thread too
        }
    }
    complete(outcome::stopped);
    return true;
}

void sleep_awaiter::fire() noexcept {
    if (selection_ != nullptr) return selection_->timer_fired(arm_);
    complete_fair(outcome::value);
}

admission sleep_awaiter::start_waiting() noexcept {
    prepare();
    selection_->timer_armed();
    home->arm(*this, when_.resolve(now_ns()));
    return admission::waiting;
}

void sleep_awaiter::withdraw(grant_list&) noexcept {
    if (home->disarm(*this)) selection_->timer_disarmed();
}

void sleep_awaiter::request_stop(stop_walk&) noexcept {
    {
        std::scoped_lock guard(home->timer_lock());
        if (!home->disarm_locked(*this)) {
            stopped_early_ = true;  // not armed yet; or it fires right now, then this changes nothing
            return;
        }
    }
    complete(outcome::stopped);
}

}  // namespace belay::detail
