#include <belay/runtime/detail/start_state.hpp>

#include <mutex>
#include <utility>

namespace belay::detail {

bool start_base::settle(start_end how) noexcept {
    start_operation* waiter = nullptr;
    {
        std::scoped_lock guard(lock_);
        if (end_ != start_end::waiting || given_up_) return false;
        end_ = how;
        waiter = std::exchange(waiter_, nullptr);
    }
    // Taken out: a stop leaves it to us. Not there yet: wait() finds the end.
    if (waiter != nullptr) waiter->complete(outcome::value);
    return true;
}

bool start_operation::may_spawn() noexcept {
    {
        std::scoped_lock guard(shared_->lock_);
        if (!shared_->given_up_) return true;
    }
    complete(outcome::stopped);
    return false;
}

bool start_operation::wait() noexcept {
    bool told = false;
    {
        std::scoped_lock guard(shared_->lock_);
        told = shared_->end_ != start_end::waiting;  // first, and so it won against a stop
        if (!told && !shared_->given_up_) {
            shared_->waiter_ = this;
            return true;
        }
    }
    if (told) return !complete_inline();
    complete(outcome::stopped);
    return true;
}

void start_operation::request_stop(stop_walk&) noexcept {
    {
        std::scoped_lock guard(shared_->lock_);
        if (shared_->end_ != start_end::waiting) return;  // whoever told us completes, or wait() does
        shared_->given_up_ = true;
        if (std::exchange(shared_->waiter_, nullptr) == nullptr) return;  // not waiting yet: may_spawn() or wait() sees it
    }
    complete(outcome::stopped);
}

}  // namespace belay::detail
