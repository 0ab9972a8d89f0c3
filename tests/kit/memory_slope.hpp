// Whether memory grows with what passes through: the test of backpressure.
//
//     kit::memory_slope slope;
//     for (int round = 0; round < 30; ++round) {
//         co_await pass(10'000);
//         slope.sample();
//     }
//     EXPECT_LT(slope.bytes_per_sample(), 1'000);
#pragma once

#include <cstddef>
#include <vector>

namespace belay::kit {

/// Not thread-safe.
class memory_slope {
public:
    /// Notes how many bytes the process has from the allocator and belay's pools now. The first one throws std::runtime_error if malloc is
    /// neither the C library's nor a sanitizer's (jemalloc, say): those cannot be asked, and each slope would be 0.
    void sample();
    /// The median of the slopes between all pairs of samples (Theil 1950, Sen 1968), without the first third, in which caches fill: a few
    /// samples that are far off do not count. O(samples²).
    [[nodiscard]] double bytes_per_sample() const;

private:
    std::vector<double> bytes_;
};

}  // namespace belay::kit
