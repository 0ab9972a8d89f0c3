#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/sleep.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

namespace belay::io {
namespace {

/// accept(2). Returns a descriptor or -errno.
class accept_awaiter final : public detail::io_awaiter {
public:
    explicit accept_awaiter(int listener) noexcept {
        request.opcode = io_opcode::accept;
        request.fd = listener;
        request.flags = SOCK_CLOEXEC;
        result = -1;  // nothing to close
    }
    accept_awaiter(const accept_awaiter&) = delete;
    accept_awaiter& operator=(const accept_awaiter&) = delete;
    ~accept_awaiter() { descriptor{result}.close(); }  // accepted, but the task was destroyed before it took it
    int await_resume() noexcept { return std::exchange(result, -1); }
    [[nodiscard]] const char* what() const noexcept override { return "tcp.accept"; }
};

/// When even the reserve is gone, the connection stays where it is, and the caller's loop would find it again at once.
constexpr std::chrono::milliseconds pause_without_spare{10};

bool out_of_descriptors(int error) noexcept { return error == EMFILE || error == ENFILE; }

/// Concerns the connection, or nobody's fault: the next accept may succeed. accept(2) lists them under "error handling".
bool concerns_one_connection(int error) noexcept {
    switch (error) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case EPERM:  // the firewall
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET: return true;
    default: return false;
    }
}

enum class pending { closed, untouched };

[[noreturn]] void throw_accept_error(int error, int listener, pending connection = pending::untouched) {
    std::string text = detail::describe_socket("tcp_listener: accept", listener);
    if (out_of_descriptors(error)) {
        text += connection == pending::closed ? ": a connection was closed" : ": a connection has to wait";
        if (error == EMFILE) {
            rlimit limit{};
            ::getrlimit(RLIMIT_NOFILE, &limit);
            text += " because the process has no descriptor left; RLIMIT_NOFILE is " + std::to_string(limit.rlim_cur) +
                    " (raise it with `ulimit -n` or systemd's LimitNOFILE=, or hold fewer connections at a time with "
                    "scope_options::max_tasks and spawn_when_free)";
        } else {
            text += " because the system has no descriptor left (raise fs.file-max)";
        }
    }
    detail::throw_errno(error, text);
}

}  // namespace

task<tcp_stream> tcp_listener::accept() {
    for (;;) {
        const int fd = co_await accept_awaiter{native_handle()};
        if (fd >= 0) co_return tcp_stream{descriptor{fd}};
        if (out_of_descriptors(-fd)) co_return co_await accept_without_descriptors();
        if (!concerns_one_connection(-fd)) throw_accept_error(-fd, native_handle());
    }
}

task<tcp_stream> tcp_listener::accept_without_descriptors() {
    for (;;) {
        // The kernel looks for a descriptor first. Nobody may have called yet, and by the time somebody does there may be
        // one again.
        const int events = co_await detail::poll_awaiter{native_handle(), POLLIN};
        if (events < 0) throw_accept_error(-events, native_handle());
        descriptor accepted{detail::socket_calls::accept4(native_handle(), SOCK_CLOEXEC)};
        if (accepted.is_open()) co_return tcp_stream{std::move(accepted)};
        const int error = errno;
        if (concerns_one_connection(error)) continue;  // EAGAIN: another task was faster
        if (!out_of_descriptors(error)) throw_accept_error(error, native_handle());
        if (spare_.reject_one(native_handle())) throw_accept_error(error, native_handle(), pending::closed);
        co_await sleep_for(pause_without_spare);
        throw_accept_error(error, native_handle());
    }
}

namespace detail {

void spare_descriptor::refill() noexcept {
    if (fd_.load() >= 0) return;
    int none = -1;
    belay::detail::own_code mine;
    descriptor fresh{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (fresh.is_open() && fd_.compare_exchange_strong(none, fresh.native_handle())) static_cast<void>(fresh.release());
}

bool spare_descriptor::reject_one(int listener) noexcept {
    refill();
    descriptor spare{fd_.exchange(-1)};
    if (!spare.is_open()) return false;
    spare.close();
    descriptor rejected{socket_calls::accept4(listener, SOCK_CLOEXEC)};
    const bool done = rejected.is_open() || errno == EAGAIN;
    rejected.close();
    refill();
    return done;
}

}  // namespace detail
}  // namespace belay::io
