#include <belay/io/uring/fork_guard.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace belay::detail::uring {
namespace {

constexpr std::size_t page_size = 4096;
constinit std::uint32_t unguarded = 0;  // what mark_ points at until arm(), and when arm() cannot work

}  // namespace

const volatile std::uint32_t* fork_guard::mark_ = &unguarded;

void fork_guard::arm() noexcept {
    static const bool once = [] {
        unguarded = alive;
        void* page = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) return false;
        if (::madvise(page, page_size, MADV_WIPEONFORK) != 0) {
            ::munmap(page, page_size);
            return false;
        }
        auto* mark = static_cast<std::uint32_t*>(page);
        *mark = alive;
        mark_ = mark;  // never unmapped: the guard is process-wide
        return true;
    }();
    static_cast<void>(once);
}

void fork_guard::die() noexcept {
    static constexpr char text[] =
        "belay: a runtime was used in a forked child. Its io_uring rings belong to the parent process, where everything that "
        "the child submits would complete. Start a new runtime in the child, or call exec() directly after fork().\n";
    [[maybe_unused]] auto written = ::write(STDERR_FILENO, text, sizeof text - 1);
    std::abort();
}

}  // namespace belay::detail::uring
