// cpu_pool: a bounded pool of threads for functions that compute, no larger than the machine.
//
//     belay::cpu_pool cpu{runtime, {.name = "thumbnails"}};
//     auto image = co_await cpu.run([&] { return scaled(original); });
//
// Which one when:
//  - spawn_blocking, blocking_pool: for what waits (files, databases, sleeping libraries). Many threads, most of them asleep.
//  - cpu_pool: for what computes for a millisecond and more. More threads than CPUs would only slow each other down, so there
//    are as many as the process may use; the queue takes the rest.
//  - the task itself, with co_await checkpoint() in its loops: for shorter work, where the way to a thread and back (tens of
//    microseconds) would cost more than it relieves. Neighbours take over what waits behind it.
#pragma once

#include <belay/runtime/blocking.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace belay {

/// Validated by cpu_pool's constructor; a wrong value throws std::invalid_argument that names the field.
struct cpu_pool_options {
    std::string name = "cpu";  ///< the label `pool` of its metrics
    unsigned threads = 0;  ///< functions that run at once; 0: the CPUs that affinity and cgroup quota allow
    std::size_t max_queued = 1024;  ///< functions that wait for a thread
    std::chrono::milliseconds keep_alive{10'000};  ///< an idle thread ends after this long
    belay::when_full when_full = belay::when_full::suspend;
    std::optional<std::chrono::nanoseconds> max_wait{};  ///< as in blocking_options
    /// 0 to 19: how far the threads stand back for others, above all for the runtime's workers, which share the CPUs with a pool
    /// of this size (see nice(2); best effort).
    int nice = 0;
};

/// Thread-safe. Destroying it waits for the functions that run; no task may be waiting in it then (destroy it after the scope
/// that uses it). Its numbers are among the runtime's blocking pools.
class cpu_pool {
public:
    explicit cpu_pool(runtime& rt, const cpu_pool_options& options = {});
    explicit cpu_pool(local_runtime& rt, const cpu_pool_options& options = {});
    explicit cpu_pool(simulation& sim, const cpu_pool_options& options = {});
    cpu_pool(const cpu_pool&) = delete;
    cpu_pool& operator=(const cpu_pool&) = delete;
    ~cpu_pool();

    /// Awaitable: as blocking_pool::run, with the same errors, limits and stops. A function that takes a std::stop_token should
    /// look at it now and then: that is what ends a long computation early.
    template <class F>
    auto run(F&& f, const blocking_call_options& options = {}) {
        return detail::blocking_call<std::decay_t<F>>{core_.get(), std::decay_t<F>(std::forward<F>(f)), options};
    }

    /// How many functions run at once, at most.
    [[nodiscard]] unsigned threads() const noexcept { return core_->options().max_threads; }
    [[nodiscard]] blocking_pool_metrics metrics() const { return core_->metrics(); }

private:
    cpu_pool(detail::runtime_core& core, const cpu_pool_options& options);
    std::shared_ptr<detail::blocking_core> core_;
};

}  // namespace belay
