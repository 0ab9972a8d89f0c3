// The seam between the executor and the kernel: what a driver has to do. The io_uring and the Boost.Asio driver
// implement it, and the simulated network; `runtime` never knows which one runs.
//
// A runtime owns one `driver`; each worker owns one `driver_port` of it. An operation stays on the port on which it was
// submitted; the task's next operation goes to the port of the worker that then runs it.
#pragma once

#include <belay/runtime/operation.hpp>

#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace belay {

/// Which driver a runtime uses. `automatic` takes io_uring and falls back to Asio, saying so once.
enum class io_backend : std::uint8_t { automatic, uring, asio };

enum class io_opcode : std::uint8_t { nop, poll, accept, connect, recv, send, recvmsg, sendmsg, read, write };
inline constexpr std::size_t io_opcode_count = 10;
std::string_view to_string(io_opcode opcode) noexcept;

/// What the kernel is asked to do, in neutral terms. Everything pointed to stays alive until the operation completes.
struct io_request {
    io_opcode opcode = io_opcode::nop;
    int fd = -1;
    void* buffer = nullptr;        ///< recv, send, read, write
    std::size_t length = 0;        ///< bytes of `buffer`; a driver may transfer less
    std::int64_t offset = -1;      ///< read, write: -1 means the current position (pipes, sockets, signalfd)
    int flags = 0;                 ///< recv, send, recvmsg, sendmsg: MSG_*; accept: SOCK_*; poll: POLL* event mask
    sockaddr* address = nullptr;   ///< connect: the peer; accept: filled in when not null
    socklen_t* address_length = nullptr;  ///< accept: in and out
    socklen_t connect_length = 0;  ///< connect: bytes of `address`
    msghdr* message = nullptr;     ///< recvmsg, sendmsg
    bool expect_ready = true;      ///< recv, accept: false when the last completion drained the socket (POLL_FIRST)
};

namespace detail {

class driver_port;
class simulator;

/// One I/O operation in flight: an awaiter in a task's frame. A driver sets `result` and calls finish_io() exactly once,
/// after which the operation may be gone.
class io_operation : public operation {
public:
    io_operation() = default;
    /// Only before it is awaited.
    io_operation(io_operation&& other) noexcept : operation(std::move(other)), request(other.request) {}

    io_request request;
    std::int32_t result = 0;     ///< bytes, a descriptor, poll events, or -errno
    bool socket_nonempty = true; ///< recv: the kernel said that more is waiting, or could not tell

    /// Submits to the current worker's port. Always suspends. Call after suspend_on() returned true.
    bool start() noexcept;
    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept override;

    /// Driver: the kernel is done with the operation and its buffers. Ends as stopped only if a stop was asked for and
    /// the kernel says that nothing happened (-ECANCELED); a result that won the race is delivered.
    void finish_io(std::int32_t res) noexcept {
        result = res;
        // acquire, pairs with request_stop().
        bool unwanted = res == canceled_result && stop_requested_.load(std::memory_order_acquire);
        complete_fair(unwanted ? outcome::stopped : outcome::value);
    }
    [[nodiscard]] bool stop_was_requested() const noexcept { return stop_requested_.load(std::memory_order_acquire); }

    // ---- for the driver that holds the operation ----
    io_operation* driver_next = nullptr;       ///< link in a list of the driver's
    void* driver_data = nullptr;               ///< whatever the driver needs beside it
    std::atomic<std::uint8_t> driver_state{0}; ///< the driver's own states
    std::uint64_t driver_word = 0;

private:
    static const std::int32_t canceled_result;  // -ECANCELED
    enum class phase : std::uint8_t { created, submitted, stopped_early };
    std::atomic<phase> phase_{phase::created};
    std::atomic<bool> stop_requested_{false};
    driver_port* port_ = nullptr;  // where it was submitted; written before `phase_` becomes submitted
};

/// Counters of one port; each has one writer at a time and is read relaxed by scrapes.
struct port_counters {
    std::atomic<std::uint64_t> submitted{0};
    std::atomic<std::uint64_t> completed{0};
    std::atomic<std::uint64_t> enters{0};
    std::atomic<std::uint64_t> overflows{0};
    std::atomic<std::uint64_t> completed_by_opcode[io_opcode_count]{};
    void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // one writer at a time
    }
};

/// A worker's connection to the kernel. "Owner" is the thread of the worker that it was made for.
class driver_port {
public:
    driver_port() = default;
    driver_port(const driver_port&) = delete;
    driver_port& operator=(const driver_port&) = delete;
    /// All operations have completed before a port is destroyed (the runtime waits, or abandons the port undestroyed).
    virtual ~driver_port() = default;

    /// Owner, once, before anything else: set-up that must happen on the worker's own thread. A hosted port is bound again after
    /// each prepare_wait(), by whichever thread is the next owner.
    virtual void bind_owner() noexcept = 0;
    /// Owner: takes the operation. The driver may batch it until the next poll() or wait(), but must make it visible to
    /// rescue(). Never fails: what cannot be submitted completes with an error later, from poll() or wait().
    virtual void submit(io_operation& op) noexcept = 0;
    /// Any thread, while a stopper pins `op`, or the owner: asks the kernel to give the operation up. It still ends by
    /// exactly one finish_io(); if it already ended, nothing happens. Never blocks. May come before submit() has
    /// returned on the owner.
    virtual void cancel(io_operation& op) noexcept = 0;
    /// Owner: hands over what is staged and completes what is ready. Never blocks. At most about 256 completions. Consumes
    /// a wake() that came before it: the owner must look at what it was woken for between its last poll() and wait().
    virtual void poll() noexcept = 0;
    /// Owner: as poll(), but sleeps until something completes, wake() is called, or the steady clock reaches
    /// `deadline_ns`. A wake() since the last poll() or wait() returns at once.
    virtual void wait(std::int64_t deadline_ns) noexcept = 0;
    /// Owner, spinning, without a system call: poll() would complete something, or somebody called wake().
    [[nodiscard]] virtual bool ready() const noexcept = 0;
    /// False when ready() cannot see I/O without a system call (epoll): a spinner then calls poll() instead.
    [[nodiscard]] virtual bool ready_sees_io() const noexcept { return true; }
    /// Any thread: ends the owner's current or next wait().
    virtual void wake() noexcept = 0;
    /// Any thread but the owner, while the owner is stuck in a task or asleep in a system call: hands staged operations
    /// to the kernel, makes it post completions, completes what is ready, and carries out pending cancels. Gives up at
    /// once when the owner is inside the port. True when something was completed.
    virtual bool rescue() noexcept = 0;
    /// Operations handed to this port and not yet completed. Any thread.
    [[nodiscard]] virtual std::size_t in_flight() const noexcept = 0;

    // ---- a hosted port (driver_options::hosted): its owner sleeps in an event loop of the host's -----------------------------
    /// What the loop waits for: see prepare_wait(). The port's; -1 when it is not hosted. Any thread.
    [[nodiscard]] virtual int wait_handle() const noexcept = 0;
    /// Owner, about to leave the thread to its host: hands over what is staged. From here on nobody owns the port until the next
    /// bind_owner(), and wait_handle() is readable when something completes, when wake() is called, and when the steady clock
    /// has reached `deadline_ns`; at once if one of them has happened since the last poll() or wait(). A system call for the
    /// deadline only if it differs from the last one.
    virtual void prepare_wait(std::int64_t deadline_ns) noexcept = 0;

    port_counters counters;
};

}  // namespace detail

/// One per runtime. Made by make_driver(), which `io` implements.
class driver {
public:
    driver() = default;
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    virtual ~driver() = default;
    /// "uring", "asio" or "sim".
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    /// Why this driver was chosen; names cause and remedy when it is a fallback.
    [[nodiscard]] virtual std::string_view reason() const noexcept = 0;
    /// Called on the thread that starts the runtime; bind_owner() follows on the worker's thread. Throws
    /// std::system_error whose message names the exhausted limit and the remedy.
    virtual std::unique_ptr<detail::driver_port> make_port(unsigned worker) = 0;
    /// Reads and writes of files wait for the disk somewhere else than on the worker.
    [[nodiscard]] virtual bool waits_for_files() const noexcept { return true; }
};

struct driver_options {
    io_backend backend = io_backend::automatic;
    unsigned workers = 1;
    bool hosted = false;  ///< threads of the host own the port, which has a wait_handle()
};

/// Chooses, probes and makes a driver. `BELAY_IO=auto|uring|asio` decides when `backend` is automatic. Throws
/// std::system_error when the one that was asked for by name cannot work. Defined by the `io` room.
std::unique_ptr<driver> make_driver(const driver_options& options);
/// The driver of a simulation: a network in memory. Defined by the `io` room.
std::unique_ptr<driver> make_simulated_driver(detail::simulator& sim);

}  // namespace belay
