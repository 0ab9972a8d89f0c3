#include <belay/tests/kit/memory_slope.hpp>

#include <malloc.h>

#include <algorithm>
#include <cstddef>

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

}  // namespace

void memory_slope::sample() { bytes_.push_back(bytes_in_use()); }

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
