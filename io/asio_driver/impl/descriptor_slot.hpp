// What the driver knows about one descriptor number: the operations that wait for it to become ready, and the
// registration with the reactor of one port, its home. A registration is kept between operations (a socket that is
// registered costs one epoll_ctl per wait, one that is not costs three and three more calls) and follows the tasks: an
// operation that waits moves it to the port of its worker unless somebody else waits there.
//
// Nobody tells the driver about close(2). Before a kept registration is used, SO_COOKIE, which is unique to a socket,
// says whether the number still means the same one; what is not a socket is not kept.
#pragma once

#include <belay/io/asio_driver/impl/attempt.hpp>
#include <belay/io/asio_driver/impl/handler_memory.hpp>
#include <belay/io/asio_driver/impl/operation_list.hpp>
#include <belay/runtime/driver.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <cstdint>
#include <mutex>
#include <optional>

namespace belay::detail {

class asio_port;

// io_operation::driver_state. `stop_bit` is set by a canceller at any time; `waiting_bit` says that the operation is in
// its slot's list, and changes only under the slot's lock. An operation without it is held by one thread, which tries it
// or has its result; that thread looks at `stop_bit` before it would let the operation wait, and at no other time, so a
// result that exists is delivered.
inline constexpr std::uint8_t stop_bit = 1;
inline constexpr std::uint8_t waiting_bit = 2;

class descriptor_slot {
public:
    explicit descriptor_slot(int fd) noexcept : fd_{fd} {}
    ~descriptor_slot() { drop(); }

    /// `op` got `not_yet`, or need not be tried before it waits. Whoever makes the descriptor ready, or a canceller, ends
    /// it; it may be gone when this returns.
    void wait(io_operation& op, asio_port& port) noexcept;
    /// Ends `op` with -ECANCELED if it waits. If not, the thread that holds it will see its stop_bit.
    void cancel(io_operation& op) noexcept;
    /// `port` is about to be destroyed.
    void leave(asio_port& port) noexcept;

private:
    using descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
    struct on_ready;
    struct on_time;

    // Called by the reactor of `port`: the descriptor became `kinds` (by_the_clock: it is time to try everything again), or
    // cannot be watched for them because of `error`.
    void announced(asio_port& port, std::uint32_t generation, readiness kinds, std::int32_t error) noexcept;
    // The rest is called with the lock held. park() is 0, or the error with which the operation has to end.
    std::int32_t park(io_operation& op, asio_port& port) noexcept;
    template <class Predicate>
    void unpark(operation_list& out, Predicate selected) noexcept;
    std::int32_t enroll(const io_operation& op, asio_port& port) noexcept;
    void arm(readiness kinds) noexcept;
    void arm_timer() noexcept;
    void give_up_if_idle() noexcept;
    void drop() noexcept;

    const int fd_;
    std::mutex mutex_;
    operation_list waiters_;
    asio_port* home_ = nullptr;               // whose reactor `registration_` is with; null when there is none
    std::optional<descriptor> registration_;
    std::uint64_t cookie_ = 0;                // of the registered socket; 0: the registration goes with its last waiter
    std::uint32_t generation_ = 0;            // counts registrations, so that a handler knows whether it is still meant
    readiness armed_ = 0;                     // the kinds for which a wait is queued in the reactor
    bool timer_armed_ = false;
    unsigned fruitless_ = 0;                  // announcements in a row that let no operation end
    int restore_flags_ = -1;                  // file status flags to put back after the first wait
    handler_memory memory_[readiness_kinds];  // one queued wait of each kind
};

}  // namespace belay::detail
