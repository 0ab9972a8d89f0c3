// A forked child must not touch its parent's ring: what it submits would complete in the parent, and a write to the wake
// eventfd would wake the parent's worker. The ring's memory is not inherited (MADV_DONTFORK), so a touch would crash; this
// guard turns the crash into a sentence, at the price of one load: it reads a page that the kernel zeroes in children.
// Private to io/uring.
#pragma once

#include <cstdint>

namespace belay::detail::uring {

class fork_guard {
public:
    /// Maps the page, once per process. Where the kernel cannot wipe pages (before 4.14) the guard stays silent.
    static void arm() noexcept;
    /// Aborts with an explanation in a child of the process that armed the guard.
    static void check() noexcept {
        if (in_child()) [[unlikely]]
            die();
    }
    [[nodiscard]] static bool in_child() noexcept { return *mark_ != alive; }

private:
    static constexpr std::uint32_t alive = 0xbe1a7u;
    [[noreturn, gnu::cold]] static void die() noexcept;
    static const volatile std::uint32_t* mark_;  // never null; written once, before the first ring exists
};

}  // namespace belay::detail::uring
