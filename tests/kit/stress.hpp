// The same function in many tasks at once, again and again, on a real runtime: for races between threads, which no simulation shows.
//
//     BELAY_TEST(Cache, SurvivesContention) {
//         cache shared;
//         co_await kit::stress(8, 1'000, 42, [&](kit::stress_point at) -> task<> {
//             co_await shared.put(at.random() % 100, at.iteration);
//         });
//     }
#pragma once

#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>

namespace belay::kit {

/// One call of the function.
struct stress_point {
    std::size_t task;  ///< 0 to n - 1
    std::size_t iteration;  ///< 0 to iterations - 1
    std::mt19937_64& random;  ///< the task's own, seeded from the seed and its number
};

/// Runs n tasks, each of which awaits f(stress_point) so many times. The first error stops the others and is rethrown. f must be callable
/// from several workers at once; it is kept until all have ended.
template <class F>
task<> stress(std::size_t n, std::size_t iterations, std::uint64_t seed, F f) {
    co_await with_scope([&](scope& s) -> task<> {
        for (std::size_t i = 0; i < n; ++i) {
            s.spawn([&f, i, iterations, seed]() -> task<> {
                std::mt19937_64 random{seed * 0x9e3779b97f4a7c15ULL + i};
                for (std::size_t round = 0; round < iterations; ++round) co_await f(stress_point{i, round, random});
            });
        }
        co_return;
    });
}

}  // namespace belay::kit
