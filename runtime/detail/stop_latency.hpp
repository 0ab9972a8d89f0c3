// How long stopped scopes took to end. Written once for each stopped scope by whoever leaves it last: never on a hot path.
#pragma once

#include <belay/runtime/metrics.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace belay::detail {

class stop_latency {
public:
    /// relaxed throughout: the numbers are for dashboards and order nothing.
    void add(std::int64_t took_ns) noexcept {
        auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(took_ns, 0));
        count_.fetch_add(1, std::memory_order_relaxed);
        sum_ns_.fetch_add(ns, std::memory_order_relaxed);
        auto longest = max_ns_.load(std::memory_order_relaxed);
        while (longest < ns && !max_ns_.compare_exchange_weak(longest, ns, std::memory_order_relaxed)) {}
    }
    [[nodiscard]] stop_latency_metrics read() const noexcept {
        return {.count = count_.load(std::memory_order_relaxed),
                .sum_ns = sum_ns_.load(std::memory_order_relaxed),
                .max_ns = max_ns_.load(std::memory_order_relaxed)};
    }

private:
    std::atomic<std::uint64_t> count_{0};
    std::atomic<std::uint64_t> sum_ns_{0};
    std::atomic<std::uint64_t> max_ns_{0};
};

}  // namespace belay::detail
