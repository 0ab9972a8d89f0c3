// Unix signals as something to wait for.
//
//     auto interrupted = io::signal_set{SIGINT, SIGTERM};
//     co_await belay::when_any(serve(std::move(listener)), interrupted.next());
#pragma once

#include <belay/io/descriptor.hpp>
#include <belay/io/detail/io_awaiter.hpp>

#include <csignal>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace belay::io {

/// A signal that arrived, and who sent it.
struct signal_info {
    int number = 0;
    int code = 0;       ///< SI_USER: kill(2); SI_QUEUE: sigqueue(3); see sigaction(2)
    int sender = 0;     ///< process id, for SI_USER, SI_QUEUE and SIGCHLD; else 0
    unsigned user = 0;  ///< the sender's real user id, likewise

    /// "SIGTERM"
    [[nodiscard]] std::string_view name() const noexcept;
};

namespace detail {

struct signal_subscriber;

class signal_awaiter final : public io_awaiter {
public:
    explicit signal_awaiter(int fd) noexcept {
        request.opcode = io_opcode::read;
        request.fd = fd;
        request.buffer = &arrived_;
        request.length = sizeof(arrived_);
    }
    signal_info await_resume() const {
        if (result != static_cast<int>(sizeof(arrived_))) [[unlikely]]
            throw_error();
        return arrived_;
    }
    [[nodiscard]] const char* what() const noexcept override { return "signal"; }

private:
    [[noreturn]] void throw_error() const;
    signal_info arrived_;
};

}  // namespace detail

/// Contract
/// - While a set lives, its signals no longer do what they did by default; every set that names a signal gets it. A handler
///   that the application had installed before is still called, after the sets have been told. When the last set of a
///   signal dies, what was there before is put back, unless somebody else has installed a handler on top in the meantime.
///   Such a handler has to call the one that it replaced, or the sets no longer hear of the signal.
/// - Works whatever the threads' signal masks are, as long as one thread does not block the signal.
/// - Signals that arrive while nobody waits are kept, in order, up to 4096 of them; then further ones are dropped.
/// - A forked child is not the process that the set belongs to: there the signals do what they did before.
/// - Move-only. next() by one task at a time; several sets may live in one process, on any runtimes. Neither destroy nor
///   move a set while next() is in flight.
class signal_set {
public:
    /// Throws std::invalid_argument that names the signal and why: not a signal, SIGKILL or SIGSTOP (cannot be caught), or
    /// a program error such as SIGSEGV (returning from its handler repeats it); std::system_error when descriptors run out.
    signal_set(std::initializer_list<int> signals) : signal_set{std::span<const int>{signals.begin(), signals.size()}} {}
    explicit signal_set(std::span<const int> signals);
    signal_set(signal_set&& other) noexcept;
    signal_set& operator=(signal_set&& other) noexcept;
    ~signal_set();

    /// Waits for the next signal. On stop: none was taken. Throws std::system_error.
    [[nodiscard]] auto next() const noexcept {
        return detail::io_awaitable<detail::signal_awaiter, int>{arrivals_.native_handle()};
    }

private:
    void unsubscribe() noexcept;

    descriptor arrivals_;
    detail::signal_subscriber* subscriber_ = nullptr;
    std::vector<int> signals_;
};

}  // namespace belay::io
