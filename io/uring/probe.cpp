#include <belay/io/uring/probe.hpp>

#include <belay/io/uring/kick.hpp>
#include <belay/io/uring/prepare.hpp>
#include <belay/io/uring/ring.hpp>
#include <belay/io/uring/setup_error.hpp>

#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <system_error>

namespace belay::detail::uring {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t millisecond_ns = 1'000'000;

constexpr std::uint8_t needed_opcodes[] = {
    IORING_OP_NOP,  IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_RECV,
    IORING_OP_SEND, IORING_OP_RECVMSG,  IORING_OP_SENDMSG,      IORING_OP_READ,   IORING_OP_WRITE,
};

probe_result fails(int error, std::string reason) { return {error, std::move(reason)}; }

// Sandboxes such as gVisor report old kernels, and old kernels have the worst bugs and no cooperative task running.
bool kernel_is_old(std::string& release) {
    utsname name{};
    unsigned major = 0;
    unsigned minor = 0;
    if (::uname(&name) != 0) return false;
    release = name.release;
    if (std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
    return major < 6 || (major == 6 && minor < 1);
}

bool opcodes_work(ring& r) {
    constexpr unsigned count = 256;
    alignas(io_uring_probe) std::byte memory[sizeof(io_uring_probe) + count * sizeof(io_uring_probe_op)]{};
    auto& answer = *reinterpret_cast<io_uring_probe*>(memory);
    if (r.register_op(IORING_REGISTER_PROBE, memory, count) < 0) return false;
    return std::ranges::all_of(needed_opcodes, [&](std::uint8_t opcode) {
        return opcode <= answer.last_op && (answer.ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
    });
}

// Hands over what is staged and takes one completion with the given tag within a second.
int expect(ring& r, std::uint64_t tag, completion& got) {
    int result = r.enter(r.unconsumed(), 1, true, second_ns);
    if (result < 0 && result != -EINTR && result != -ETIME) return -result;
    if (!r.has_completions()) return ETIME;
    got = r.peek(0);
    r.drop(1);
    if (got.user_data != tag) return EPROTO;
    return got.result < 0 ? -got.result : 0;
}

int round_trip(ring& r, int wake_fd) {
    completion got{};
    io_request nop;
    prepare(*r.acquire(), nop, 1);
    r.publish();
    if (int error = expect(r, 1, got)) return error;

    prepare_multishot_poll(*r.acquire(), wake_fd, 2);
    r.publish();
    if (r.enter(1, 0, false) != 1) return EPROTO;
    for (int i = 0; i < 2; ++i) {  // twice: the poll must stay armed
        std::uint64_t one = 1;
        if (::write(wake_fd, &one, sizeof one) != sizeof one) return errno;
        if (int error = expect(r, 2, got)) return error;
        if (!has_more(got.flags)) return EPROTO;
    }

    int result = r.enter(0, 1, true, millisecond_ns);
    return result == -ETIME || result == -EINTR ? 0 : EPROTO;
}

}  // namespace

probe_result probe() {
    std::string release;
    if (kernel_is_old(release))
        return fails(ENOSYS, "Linux " + release + " is older than 6.1. Remedy: run on Linux 6.1 or later");
    try {
        ring r(8, 16);
        if (!opcodes_work(r))
            return fails(ENOSYS,
                         "ENOSYS: this kernel's io_uring lacks operations that belay needs, or a policy forbids "
                         "io_uring_register. Remedy: run on an unrestricted Linux 6.1 or later");
        int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wake_fd < 0) return fails(errno, explain_setup_error(errno));
        int error = round_trip(r, wake_fd);
        ::close(wake_fd);
        if (error != 0)
            return fails(error,
                         "a round trip through the ring failed, although it could be set up: " + explain_setup_error(error));
    } catch (const std::system_error& e) {
        return fails(e.code().value(), explain_setup_error(e.code().value()));
    }
    if (!enable_kick()) return {0, "works; membarrier is refused, so completions of a busy worker wait for the next timer tick"};
    return {0, "works (Linux " + release + ")"};
}

}  // namespace belay::detail::uring
