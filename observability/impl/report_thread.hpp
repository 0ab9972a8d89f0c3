// A thread for what takes long about a report: finding the names of code addresses reads whole symbol tables.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace belay::detail {

/// One per process, begun by the first report that needs it and never ended: a worker that finds something goes on while it is described.
/// After a fork the child has no such thread, nor has a process that cannot start one: there the work is done on the spot.
class report_thread {
public:
    report_thread() = default;
    report_thread(const report_thread&) = delete;
    report_thread& operator=(const report_thread&) = delete;
    ~report_thread() = delete;

    /// Any thread. In the order of the calls, each of which has happened before. `work` must not throw. Throws what std::function and
    /// std::vector throw, and then nothing has been done.
    void run(std::function<void()> work);
    /// Returns when all that was given so far is done; at once on the thread itself, and after a fork.
    void wait() noexcept;

private:
    [[nodiscard]] bool is_there() noexcept;
    void begin() noexcept;
    void serve() noexcept;

    std::atomic<pid_t> owner_{0};  // the process that has the thread; no_thread: it could not be started
    std::mutex lock_;  // of all below; held for a few instructions
    std::condition_variable changed_;
    std::vector<std::function<void()>> queue_;
    std::uint64_t given_ = 0;
    std::uint64_t done_ = 0;
    std::thread::id id_;
};

/// Never destroyed, as the reporter.
report_thread& process_report_thread() noexcept;

}  // namespace belay::detail
