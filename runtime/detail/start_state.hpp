// What the task that was begun with scope.start() and the one who began it share until the first is ready.
#pragma once

#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/operation.hpp>

#include <cstdint>
#include <exception>

namespace belay {
template <class T>
class started;
}

namespace belay::detail {

template <class>
struct start_access;

/// How the wait for a start ends. The first end counts.
enum class start_end : std::uint8_t {
    waiting,
    ready,     // the task said so
    failed,    // it ended with an error, which is the waiter's
    returned,  // it ended without having said so
    stopped    // likewise
};

class start_operation;

class start_base {
public:
    /// Any thread. True if this end is the first, and somebody waits or will: it is told. An error that is refused here is the
    /// scope's.
    bool settle(start_end how) noexcept;
    [[nodiscard]] start_end end() const noexcept { return end_; }  // after it was told

protected:
    start_base() = default;
    ~start_base() = default;

private:
    friend class start_operation;
    spin_lock lock_;  // guards all of this
    start_end end_ = start_end::waiting;
    start_operation* waiter_ = nullptr;
    bool given_up_ = false;  // the waiter was stopped
};

/// The result is written before settle(), by the task alone, and read after it: settle()'s lock orders the two.
template <class T>
class start_state final : public start_base {
public:
    result_slot<T> result;
    std::exception_ptr error;
    stop_reason why = stop_reason::none;  // when stopped
};

class start_operation : public operation {
public:
    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return "scope.start"; }

protected:
    start_operation() = default;
    start_operation(start_operation&& other) noexcept : operation(std::move(other)) {}
    ~start_operation() = default;
    /// After suspend_on(). False when a stop came first: nothing is to be spawned, and the stop takes its course.
    bool may_spawn() noexcept;
    /// The task has been spawned. What await_suspend() returns.
    bool wait() noexcept;
    start_base* shared_ = nullptr;

private:
    friend class start_base;
};

}  // namespace belay::detail
