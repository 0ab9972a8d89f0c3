// What ends the process in the middle of a run tells which run it is; and a step that does not end is such a thing, too.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

namespace belay::kit::detail {

/// One at a time, around runs on this thread. While it exists, an assertion, a panic, a misuse, a fault, or a sanitizer's report is
/// followed by the seed and the place of the run that it ended. So is a step that takes longer than the limit: then the process is
/// ended, unless a debugger is attached.
class run_guard {
public:
    explicit run_guard(std::chrono::seconds step_limit);
    run_guard(const run_guard&) = delete;
    run_guard& operator=(const run_guard&) = delete;
    ~run_guard();

    /// Throws std::invalid_argument for a limit that the constructor refuses.
    static void check(std::chrono::seconds step_limit);
    /// A run begins. `place`: where it is stopped, or fails; 0: nowhere.
    static void begins(std::uint64_t seed, std::size_t place) noexcept;
    /// A step has ended, or something has happened between two runs.
    static void goes_on() noexcept;

private:
    void watch(std::chrono::seconds limit);
    /// A fault happens again, and what does not is raised again; then it ends the process. Not SIGSYS, by which the guard sees system calls.
    static constexpr std::array signals{SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    std::array<struct sigaction, signals.size()> before_{};
    static constexpr std::size_t stack_bytes = std::size_t{64} << 10;
    std::unique_ptr<std::byte[]> own_stack_;
    std::mutex lock_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread watch_;
};

}  // namespace belay::kit::detail
