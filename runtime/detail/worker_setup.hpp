// What happens on each worker's thread before its first task and after its last one: its name, its CPU, the user's hooks.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace belay {
struct runtime_options;
}

namespace belay::detail {

class runtime_core;

class worker_setup {
public:
    explicit worker_setup(const runtime_options& options);

    /// On the worker's thread. False: it failed and the worker must not run. await_all() throws that, or, of a stand-in, it is reported as
    /// a lost error.
    bool begin(unsigned index, runtime_core& core) noexcept;
    /// On the worker's thread, if begin() was true. What the hook throws is reported as a lost error.
    void end(unsigned index, runtime_core& core) noexcept;
    /// On the constructor's thread: waits until `workers` threads have been through begin() and throws the first failure. Waits for
    /// nothing when nothing can fail.
    void await_all(unsigned workers);
    /// Those among which the workers are spread; empty when they are not pinned. What their threads make inherits one of them and
    /// has to be given these.
    [[nodiscard]] const std::vector<unsigned>& cpus() const noexcept { return cpus_; }

private:
    void pin(unsigned index) const;
    void call_start_hook(unsigned index) const;

    std::string thread_name_;
    std::function<void(unsigned)> on_start_;
    std::function<void(unsigned)> on_stop_;
    std::vector<unsigned> cpus_;  // empty: not pinned
    std::mutex lock_;
    std::condition_variable began_;
    unsigned begun_ = 0;  // guarded by lock_
    std::exception_ptr first_error_;  // guarded by lock_
};

}  // namespace belay::detail
