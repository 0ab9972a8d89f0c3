// A worker's port: an io_context of its own, run by the worker in poll() and wait(), and by a neighbour in rescue().
//
// Locks, outermost first: the port's `turn_` (who runs the io_context), a descriptor slot's, Asio's own. No lock of a slot
// is held while an operation is finished, because then the operation's task may run and submit the next one.
#pragma once

#include <belay/io/asio_driver/impl/descriptor_slot.hpp>
#include <belay/io/asio_driver/impl/descriptor_table.hpp>
#include <belay/io/asio_driver/impl/handler_memory.hpp>
#include <belay/io/asio_driver/impl/operation_list.hpp>
#include <belay/io/detail/host_wait.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/driver.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace belay::detail {

class asio_port final : public driver_port {
public:
    explicit asio_port(std::shared_ptr<descriptor_table> table, bool hosted = false);
    ~asio_port() override;

    void bind_owner() noexcept override {}
    void submit(io_operation& op) noexcept override;
    void cancel(io_operation& op) noexcept override;
    void poll() noexcept override;
    void wait(std::int64_t deadline_ns) noexcept override;
    [[nodiscard]] bool ready() const noexcept override;
    void wake() noexcept override;
    bool rescue() noexcept override;
    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_.load(std::memory_order_acquire); }

    [[nodiscard]] int wait_handle() const noexcept override { return host_ ? host_->wait.fd() : -1; }
    void prepare_wait(std::int64_t deadline_ns) noexcept override;

    // ---- for descriptor slots ----
    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
    /// The port that counts `op` and will finish it.
    static asio_port& of(io_operation& op) noexcept { return *static_cast<asio_port*>(op.driver_data); }
    /// Ends `op`, on whatever thread. `op` may be gone afterwards, and so may a port that has nothing else in flight.
    static void finish(io_operation& op, std::int32_t result) noexcept;
    /// Ends `op` in the next poll(), wait() or rescue().
    void finish_later(io_operation& op, std::int32_t result) noexcept;
    /// This port's reactor is now the one that `op` waits in.
    void adopt(io_operation& op) noexcept;
    /// Counts the handlers that the io_context has or awaits. Each calls disarmed() first.
    void armed() noexcept { armed_.fetch_add(1, std::memory_order_relaxed); }
    void disarmed() noexcept { armed_.fetch_sub(1, std::memory_order_relaxed); }
    void completed_in_turn() noexcept { ++completed_in_turn_; }

private:
    static constexpr std::size_t batch = 256;
    static constexpr unsigned reactor_skips = 3;

    // With `turn_` held.
    std::size_t finish_tried() noexcept;
    void run_ready() noexcept;
    void sleep_until(std::int64_t deadline_ns) noexcept;
    void set_alarm(std::int64_t deadline_ns) noexcept;
    void sleep_hosted(std::int64_t deadline_ns) noexcept;
    struct on_wake;
    struct on_alarm;

    std::shared_ptr<descriptor_table> table_;  // outlives `context_`, whose handlers live in the slots
    handler_memory wake_memory_, alarm_memory_;
    boost::asio::io_context context_{1};       // at most one thread at a time runs it: the holder of `turn_`
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
    boost::asio::steady_timer alarm_{context_};
    std::int64_t alarm_ns_ = 0;                // what `alarm_` is set to; 0: not set

    /// A host waits for the reactor's own epoll descriptor. It does not learn from that of handlers that are posted, so wake()
    /// writes an eventfd instead.
    struct hosted {
        explicit hosted(boost::asio::io_context& context);
        hosted(const hosted&) = delete;
        hosted& operator=(const hosted&) = delete;
        ~hosted();
        host_wait wait;
        int wake_fd;
    };
    std::unique_ptr<hosted> host_;  // null when a thread of the runtime's own owns the port

    std::mutex turn_;
    std::size_t completed_in_turn_ = 0;
    unsigned skipped_ = 0;  // polls in a row that did not ask the reactor

    // Operations whose system call is done, with the result in them.
    spin_lock tried_lock_;
    operation_list tried_;
    std::atomic<bool> any_tried_{false};  // a hint for who does not hold `tried_lock_`; its owner sees its own writes

    std::atomic<std::size_t> in_flight_{0};
    std::atomic<std::size_t> armed_{0};
    std::atomic<bool> woken_{false};  // wake() was called since the last wait()
};

}  // namespace belay::detail
