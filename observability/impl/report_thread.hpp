// A thread for what takes long about a report: the program's sink, and finding the names of code addresses, for which whole symbol tables
// are read.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace belay::detail {

/// One per process, begun by the first report that needs it and never ended: a worker that finds something goes on while it is described.
/// After a fork the child has no such thread, nor has a process that cannot start one: there the work is done on the spot.
class report_thread {
public:
    /// For what waits: a sink that does not return holds up neither the end of a runtime nor an abort for ever.
    static constexpr std::chrono::milliseconds patience{10'000};

    report_thread() = default;
    report_thread(const report_thread&) = delete;
    report_thread& operator=(const report_thread&) = delete;
    ~report_thread() = delete;

    /// Any thread. In the order of the calls, each of which has happened before. `work` must not throw. Throws what std::function and
    /// std::deque throw, and then nothing has been done.
    void run(std::function<void()> work);
    /// Returns when all that was given so far is done, at the latest after `limit`, which no simulation shortens; at once on the thread
    /// itself, in a sink, and after a fork.
    void wait(std::chrono::milliseconds limit = patience) noexcept;

    /// Of the process, by exit(): all is done, and what is given from now on (by destructors of static objects) is done on the spot.
    void end() noexcept;
    /// In a child, whose only thread is the calling one.
    void forget() noexcept;

    /// While one exists, the calling thread is in a sink, for which others may wait.
    class in_sink {
    public:
        in_sink() noexcept;
        in_sink(const in_sink&) = delete;
        in_sink& operator=(const in_sink&) = delete;
        ~in_sink();
    };

private:
    [[nodiscard]] bool is_there() noexcept;
    void begin() noexcept;
    void serve() noexcept;

    std::atomic<pid_t> owner_{0};  // the process that has the thread; no_thread: it could not be started, or this is a child
    std::mutex lock_;  // of all below; held for a few instructions
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    bool ended_ = false;
    std::uint64_t given_ = 0;
    std::uint64_t done_ = 0;
    std::thread::id id_;
};

/// Never destroyed, as the reporter.
report_thread& process_report_thread() noexcept;

}  // namespace belay::detail
