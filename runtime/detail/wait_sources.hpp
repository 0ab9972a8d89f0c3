// What could end a suspended operation: filled by operation::waits_for(), read by the search for deadlocks.
#pragma once

#include <belay/runtime/detail/record.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace belay::detail {

/// One list for all operations of a search. Functions that add may throw std::bad_alloc.
class wait_sources {
public:
    enum class kind : std::uint8_t {
        handle,  // whoever can get at the object at this address
        end,     // the end of a task that somebody else waits for too
        branch,  // the end of a task below the waiting one
        child,   // the same, with a memory block of its own: a child_record
        body     // the same, and its locals are used by its siblings
    };
    struct source {
        kind what;
        const void* at;  // a record, unless it is a handle
    };

    /// A timer, the kernel, a thread, or an object that is not followed: the operation is left alone.
    void outside() noexcept { outside_ = true; }
    /// An object whose owner ends the operation by using or destroying it: a channel's sender, a guard. Null: nobody has it, so
    /// somebody is about to get it.
    void handle(const void* at) {
        if (at == nullptr) return outside();
        found_.push_back({kind::handle, at});
    }
    void end_of(const record& rec) { found_.push_back({kind::end, &rec}); }
    /// The task hangs below the one that waits.
    void below(const record& rec, kind as) { found_.push_back({as, &rec}); }
    /// All of them must end. Otherwise any of the sources is enough.
    void need_all() noexcept { all_ = true; }

    // ---- the search's side -------------------------------------------------------------------------------------
    /// Before the next operation. Returns where its sources begin.
    std::size_t begin() noexcept {
        outside_ = all_ = false;
        return found_.size();
    }
    [[nodiscard]] bool is_outside() const noexcept { return outside_; }
    [[nodiscard]] bool needs_all() const noexcept { return all_; }
    [[nodiscard]] std::size_t size() const noexcept { return found_.size(); }
    [[nodiscard]] const source& operator[](std::size_t i) const noexcept { return found_[i]; }
    void forget(std::size_t from) noexcept { found_.erase(found_.begin() + static_cast<std::ptrdiff_t>(from), found_.end()); }

private:
    std::vector<source> found_;
    bool outside_ = false;
    bool all_ = false;
};

}  // namespace belay::detail
