// A system call as a reader wants to see it, and what belay has instead.
#pragma once

#include <belay/observability/impl/thread_proc.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace belay::detail {

/// What a blocking call waits for; decides the advice.
enum class wait_family : std::uint8_t { descriptor, multiplexer, sleep, lock, process, file_lock, storage, other };

struct syscall_description {
    std::string text;    ///< "read(fd=17 -> socket:[88213] 10.0.0.7:5432)"
    wait_family family = wait_family::other;
};
syscall_description describe_syscall(const thread_syscall& call);

/// A call that may put its thread to sleep, and for which descriptor.
struct sleeping_syscall {
    const char* name = nullptr;  ///< null: it does not sleep with these arguments, or is not known to
    int fd = -1;
};
/// Async-signal-safe.
sleeping_syscall may_sleep(long number, const std::array<std::uint64_t, 6>& args) noexcept;

/// How to fix a task that sleeps in such a call.
const char* advice_for(wait_family family) noexcept;

/// "17 -> pipe:[8123]", with the peer's address for a connected socket.
std::string describe_descriptor(int fd);

}  // namespace belay::detail
