// What the awaitables of sockets have in common: an awaitable that can be moved until it is awaited, and an awaiter that is
// the operation itself, so that a suspended read costs no allocation.
#pragma once

#include <belay/runtime/driver.hpp>

#include <coroutine>
#include <tuple>
#include <type_traits>
#include <utility>

namespace belay::io::detail {

/// An I/O operation in the frame of the task that waits for it. A derived class fills `request` in and reads `result`.
class io_awaiter : public belay::detail::io_operation, public belay::detail::native_awaitable {
public:
    static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> task) noexcept {
        static_assert(task_promise<P>, "belay: I/O can be awaited only inside a belay::task");
        begin(*task.promise().rec);
        return true;
    }
    /// The record waits for the operation; when this returns, it may have run on and the operation may be gone.
    void begin(belay::detail::record& rec) noexcept {
        if (suspend_on(rec)) start();
    }

protected:
    ~io_awaiter() = default;
};

/// What read_some() and its like return: arguments that become an Awaiter when awaited. Movable until then, so that it can
/// be a branch of when_any and its like.
template <class Awaiter, class... Args>
class [[nodiscard("belay: an operation does nothing until it is awaited: write co_await")]] io_awaitable
    : public belay::detail::native_awaitable {
    static_assert((std::is_trivially_copyable_v<Args> && ...));

public:
    explicit io_awaitable(Args... args) noexcept : args_{args...} {}
    Awaiter operator co_await() && noexcept {
        return std::apply([](auto... args) { return Awaiter{args...}; }, args_);
    }

private:
    std::tuple<Args...> args_;
};

/// Waits for readiness without transferring anything. Returns the poll events, or -errno.
class poll_awaiter final : public io_awaiter {
public:
    poll_awaiter(int fd, int events) noexcept {
        request.opcode = io_opcode::poll;
        request.fd = fd;
        request.flags = events;
    }
    int await_resume() const noexcept { return result; }
};

}  // namespace belay::io::detail
