// A forked child must not touch its parent's ring: what it submits would complete in the parent, and a write to the wake
// eventfd would wake the parent's worker. The ring's memory is not inherited (MADV_DONTFORK), so a touch would crash; this
// guard turns the crash into a sentence, at the price of one load: it reads a page that the kernel zeroes in children.
// Private to io/uring.
#pragma once

#include <cstdint>

namespace belay::detail::uring {

class fork_guard {
public:
    /// Remembers this process. The first one maps the page; the first one in a child gives it the child's mark, by which the
    /// child's own rings are told from those that it has copies of. Where the kernel cannot wipe pages (before 4.14) the guard
    /// stays silent.
    fork_guard() noexcept;
    /// Aborts with an explanation in a child of the process that made the guard.
    void check() const noexcept {
        if (in_child()) [[unlikely]]
            die();
    }
    [[nodiscard]] bool in_child() const noexcept { return *mark_ != own_; }

private:
    [[noreturn, gnu::cold]] static void die() noexcept;
    static std::uint32_t arm() noexcept;
    static volatile std::uint32_t* mark_;  // never null; written once, before the first ring exists
    std::uint32_t own_;
};

}  // namespace belay::detail::uring
