// Whose a lock is that was not given back: several tasks may run in one poll, and the list of what is held is the thread's.
//
// What is locked belongs to nobody at first, that is to whoever runs. It gets its holder where another task takes over: where one waits
// for its branch, its scope's body or its cleanup, and where one ends. Of one that waits the holder is the record, with its id, since it
// may have gone on elsewhere by the time of the report; of one that has ended, whose record goes, what has been noted of it in
// ended_holding_. All of it is reported when the poll is over, unless it has been given back by then.
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

[[gnu::noinline, gnu::cold]] void worker::keep_for_current() noexcept { guards->belong_to(current(), current()->id); }

/// What the frame and the arguments hold, as parameters or captures, is given back while they are destroyed: what is left then was
/// forgotten.
[[gnu::noinline, gnu::cold]] record* worker::end_holding(record& rec, outcome how) noexcept {
    const void* self = &rec;  // a name of it when it has gone
    guards->belong_to(self, rec.id);
    if (!guards->held_by(self)) return rec.on_done(how);  // what is held is of others: they wait for it, or have ended
    auto unused = [&](const task_snapshot& noted) { return !guards->held_by(&noted); };
    auto* noted = std::ranges::find_if(ended_holding_, unused);
    if (noted != ended_holding_.end()) {
        snapshot_record(rec, *noted);
    } else {
        *--noted = {};  // of so many the last ones stay without a name
    }
    noted->waiting_on = "ended";
    record* next = rec.on_done(how);
    guards->belong_to(self, 0);  // what destructors have locked
    guards->rename(self, noted, 0);
    return next;
}

/// Once: the unlock that comes later, perhaps on another thread, finds nothing.
void worker::report_held(const void* holder) noexcept {
    held_lock locks[held_guards::capacity];
    std::size_t count = 0;
    std::uint64_t id = 0;
    guards->take_of(holder, [&](const held_guard& entry) {
        locks[count++] = {entry.lock, entry.site, entry.callers};
        id = std::max(id, entry.holder_id);
    });
    auto is_holder = [&](const task_snapshot& noted) { return &noted == holder; };
    const auto* ended_one = std::ranges::find_if(ended_holding_, is_holder);
    task_snapshot task;
    if (ended_one != ended_holding_.end()) {
        task = *ended_one;
    } else if (holder == nullptr) {
        task.waiting_on = "ended";  // all have, and this one held nothing before its frame was destroyed
    } else if (!snapshot_unpinned(static_cast<const record*>(holder), task) || (id != 0 && task.id != id)) {
        task = {};  // it runs on another worker already, or is gone and another one is there
        task.id = id;
    }
    core_.watcher->guard_across_suspension(task, {locks, count});
}

}  // namespace belay::detail
