// Memory that grows, and an allocator that cannot be asked.
#include <belay/tests/kit/memory_slope.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// This program's malloc, but for sanitizers, which bring their own: the C library's, or one of which that knows nothing.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BELAY_TEST_SANITIZED 1
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(BELAY_TEST_SANITIZED) && defined(__GLIBC__)
#define BELAY_TEST_OTHER_MALLOC 1
extern "C" void* __libc_malloc(std::size_t) noexcept;  // NOLINT(bugprone-reserved-identifier)
extern "C" void __libc_free(void*) noexcept;  // NOLINT(bugprone-reserved-identifier)
#endif

namespace belay::kit {
namespace {

#ifdef BELAY_TEST_OTHER_MALLOC
thread_local bool serves_itself = false;
alignas(16) std::byte own[std::size_t{4} << 20];
std::size_t used = 0;
#endif

TEST(MemorySlope, SeesGrowthAndNothingElse) {
    memory_slope steady;
    memory_slope growing;
    std::vector<std::unique_ptr<char[]>> kept;
    for (int i = 0; i < 30; ++i) {
        std::vector<char> passing(100'000);
        steady.sample();
    }
    for (int i = 0; i < 30; ++i) {
        kept.push_back(std::make_unique<char[]>(10'000));
        growing.sample();
    }
    EXPECT_LT(steady.bytes_per_sample(), 1'000);
    EXPECT_GT(growing.bytes_per_sample(), 9'000);
    EXPECT_EQ(memory_slope{}.bytes_per_sample(), 0);
}

#ifdef BELAY_TEST_OTHER_MALLOC
TEST(MemorySlope, RefusesAnAllocatorThatItCannotAsk) {
    memory_slope slope;
    std::string told;
    serves_itself = true;
    try {
        slope.sample();
    } catch (const std::runtime_error& error) {
        serves_itself = false;
        told = error.what();
    }
    serves_itself = false;
    EXPECT_NE(told.find("malloc"), std::string::npos) << told;
    EXPECT_NO_THROW(slope.sample());
}
#endif

}  // namespace
}  // namespace belay::kit

#ifdef BELAY_TEST_OTHER_MALLOC
extern "C" void* malloc(std::size_t bytes) noexcept {
    if (!belay::kit::serves_itself) return __libc_malloc(bytes);
    constexpr std::size_t alignment = 16;
    std::size_t at = belay::kit::used;
    belay::kit::used += (bytes + alignment - 1) / alignment * alignment;
    return belay::kit::used <= sizeof belay::kit::own ? belay::kit::own + at : nullptr;
}

extern "C" void free(void* place) noexcept {
    auto* byte = static_cast<std::byte*>(place);
    if (byte < belay::kit::own || byte >= belay::kit::own + sizeof belay::kit::own) __libc_free(place);
}
#endif
