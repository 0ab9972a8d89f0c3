#include <belay/io/uring/fork_guard.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace belay::detail::uring {
namespace {

constexpr std::size_t page_size = 4096;
constinit std::uint32_t unguarded = 0;  // what mark_ points at until the first arm(), and when that cannot work
constinit std::atomic<std::uint32_t> generations{0};  // a child goes on counting where its parent was: no mark repeats

}  // namespace

volatile std::uint32_t* fork_guard::mark_ = &unguarded;

fork_guard::fork_guard() noexcept : own_{arm()} {}

std::uint32_t fork_guard::arm() noexcept {
    static const bool mapped = [] {
        void* page = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) return false;
        if (::madvise(page, page_size, MADV_WIPEONFORK) != 0) {
            ::munmap(page, page_size);
            return false;
        }
        mark_ = static_cast<std::uint32_t*>(page);  // never unmapped: the guard is process-wide
        return true;
    }();
    if (!mapped) return 0;
    // A wiped page: the first ring of this process. Relaxed: the mark orders nothing, and a thread that reads it has its ring
    // from one that wrote or read it before.
    std::atomic_ref mark(*const_cast<std::uint32_t*>(mark_));
    std::uint32_t seen = mark.load(std::memory_order_relaxed);
    if (seen != 0) return seen;
    std::uint32_t fresh = generations.fetch_add(1, std::memory_order_relaxed) + 1;
    return mark.compare_exchange_strong(seen, fresh, std::memory_order_relaxed) ? fresh : seen;
}

void fork_guard::die() noexcept {
    static constexpr char text[] =
        "belay: a runtime was used in a forked child. Its io_uring rings belong to the parent process, where everything that "
        "the child submits would complete. Start a new runtime in the child, or call exec() directly after fork().\n";
    [[maybe_unused]] auto written = ::write(STDERR_FILENO, text, sizeof text - 1);
    std::abort();
}

}  // namespace belay::detail::uring
