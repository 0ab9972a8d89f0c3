#include <belay/tests/kit/memory_slope.hpp>

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BELAY_KIT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BELAY_KIT_SANITIZED 1
#endif
#endif
#ifdef BELAY_KIT_SANITIZED
// Of sanitizer/allocator_interface.h, which Debian's GCC comes without.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier)
#endif

namespace belay::kit {
namespace {

double bytes_in_use() {
#ifdef BELAY_KIT_SANITIZED
    return static_cast<double>(__sanitizer_get_current_allocated_bytes());
#else
    auto arena = ::mallinfo2();
    return static_cast<double>(arena.uordblks) + static_cast<double>(arena.hblkhd);  // the pools' memory comes from here, too
#endif
}

/// Of the allocator that is asked: it notices an allocation. Not at the first look, perhaps, when other threads free at the same time.
bool malloc_is_seen() {
    constexpr std::size_t much = std::size_t{64} << 10;
    constexpr int looks = 3;
    for (int i = 0; i < looks; ++i) {
        double before = bytes_in_use();
        void* volatile taken = std::malloc(much);  // volatile: it may not be left out
        double after = bytes_in_use();
        std::free(taken);
        if (after - before >= static_cast<double>(much) / 2) return true;
    }
    return false;
}

}  // namespace

void memory_slope::sample() {
    if (bytes_.empty() && !malloc_is_seen())
        throw std::runtime_error(
            "belay: memory_slope sees nothing of this program's malloc, which is not the C library's: run this test without the other "
            "allocator, or leave it out");
    bytes_.push_back(bytes_in_use());
}

double memory_slope::bytes_per_sample() const {
    std::vector<double> slopes;
    for (std::size_t i = bytes_.size() / 3; i < bytes_.size(); ++i)
        for (std::size_t j = i + 1; j < bytes_.size(); ++j)
            slopes.push_back((bytes_[j] - bytes_[i]) / static_cast<double>(j - i));
    if (slopes.empty()) return 0;
    auto middle = slopes.begin() + static_cast<std::ptrdiff_t>(slopes.size() / 2);
    std::ranges::nth_element(slopes, middle);
    return *middle;
}

}  // namespace belay::kit
