// What the kernel knows about one thread of this process, from /proc and its CPU clock. Works without privileges, for threads
// in any state, and never touches the thread. Everything is bounded and nothing throws.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace belay::detail {

/// One reading of a thread's clocks.
struct thread_times {
    std::chrono::steady_clock::time_point when{};
    std::chrono::nanoseconds cpu{};
    std::chrono::nanoseconds run_queue{};
    char state = '?';   ///< R, S, D, T, t, ...; '?' when it could not be read
    bool valid = false;
};
/// About 30 us. `run_queue` stays zero on a kernel without schedstat.
thread_times read_times(int tid) noexcept;

/// A small file of /proc, cut to fit.
struct proc_text {
    std::array<char, 2048> bytes;
    std::size_t size = 0;
    [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size}; }
};
/// `path` below /proc/self/, such as "task/8123/wchan".
void read_proc(const char* path, proc_text& into) noexcept;
void read_task_file(int tid, const char* file, proc_text& into) noexcept;

/// The system call that a sleeping thread is in.
struct thread_syscall {
    long number = -1;                          ///< -1: asleep outside a call, e.g. in a page fault
    std::array<std::uint64_t, 6> args{};
    std::uint64_t sp = 0;
    std::uint64_t pc = 0;
    bool asleep = false;                       ///< false: running, or not readable; nothing else is valid then
    bool operator==(const thread_syscall&) const = default;
};
thread_syscall read_syscall(int tid) noexcept;

/// Threads of this machine wait for a CPU, now or most of the time. `pressure` is /proc/pressure/cpu (empty: the kernel has none), `load` is
/// /proc/loadavg.
bool is_overloaded(std::string_view pressure, std::string_view load, unsigned cpus) noexcept;
bool host_is_overloaded() noexcept;

/// A debugger or tracer is attached to this process.
bool is_traced() noexcept;
/// The thread would not take this signal now.
bool blocks_signal(int tid, int signal) noexcept;

}  // namespace belay::detail
