// Which synchronous locks this thread holds. Fed by belay::sync_mutex, and by belay::guard for every lock of the C library; read
// by the worker when a task comes back to it: a task that suspends with an entry here holds a lock across co_await.
#pragma once

#include <belay/runtime/detail/call_place.hpp>

#include <algorithm>
#include <cstdint>
#include <source_location>
#include <utility>

namespace belay::detail {

class order_tag;
struct given_tasks;

struct held_guard {
    const void* lock = nullptr;
    const order_tag* tag = nullptr;  // null: a lock of the C library
    bool shared = false;  // with other readers
    const void* holder = nullptr;  // null: whoever runs; see worker_guards.cpp
    std::uint64_t holder_id = 0;  // of a record, which may be gone by the time that it is looked at; 0: not known
    std::source_location site;  // without a line when only the callers are known
    call_place callers;
};

/// One per thread, written by that thread only. When more than `capacity` locks are held the count goes on and the sites
/// of the surplus are not known; nothing fails.
struct held_guards {
    static constexpr std::uint32_t capacity = 16;
    std::uint32_t count = 0;  // locks held
    std::uint32_t known = 0;  // of them, those with an entry
    std::uint32_t calls = 0;  // blocking calls of this poll, which the worker keeps
    std::uint32_t own_code = 0;  // depth of own_code: belay itself locks and calls
    std::uint32_t findings = 0;  // inversions of locks in this poll, which lock_order keeps
    bool ordering = false;  // the thread is inside lock_order
    const void* taking = nullptr;  // a sync_mutex, whose own lock is not taken for one of the program's
    given_tasks* given = nullptr;  // what goes with a task that never ran, while that is destroyed; see support.cpp
    held_guard entries[capacity];

    void add(const void* lock, const call_place& callers, bool shared) noexcept {
        held_guard* entry = next();
        if (entry == nullptr) return;
        entry->lock = lock;
        entry->tag = nullptr;
        entry->shared = shared;
        entry->holder = nullptr;
        entry->holder_id = 0;
        entry->site = {};
        entry->callers.depth = callers.depth;
        std::copy_n(callers.callers.begin(), callers.depth, entry->callers.callers.begin());
    }
    void add(const void* lock, std::source_location site, const order_tag& tag) noexcept {
        // belay::guard was there before: it saw the lock inside the sync_mutex, which has the same address.
        if (known > 0 && entries[known - 1].lock == lock && entries[known - 1].site.line() == 0) {
            entries[known - 1].site = site;
            entries[known - 1].tag = &tag;
            return;
        }
        held_guard* entry = next();
        if (entry == nullptr) return;
        entry->lock = lock;
        entry->tag = &tag;
        entry->shared = false;
        entry->holder = nullptr;
        entry->holder_id = 0;
        entry->site = site;
        entry->callers.depth = 0;
    }
    void remove(const void* lock) noexcept {
        for (std::uint32_t i = known; i-- > 0;) {
            if (entries[i].lock != lock) continue;
            for (std::uint32_t j = i + 1; j < known; ++j) entries[j - 1] = entries[j];
            --known;
            --count;
            return;
        }
        if (count > known) --count;  // one of those without an entry; otherwise it was reported and forgotten
    }
    void forget() noexcept { count = known = 0; }

    /// For a runtime that is driven inside of a task of another one: what that has is kept in `outer`. Entries are copied if there are any.
    void set_aside(held_guards& outer) noexcept {
        if (count != 0) outer = *this;
        outer.count = std::exchange(count, 0);
        outer.known = std::exchange(known, 0);
        outer.calls = std::exchange(calls, 0);
        outer.findings = std::exchange(findings, 0);
        outer.given = std::exchange(given, nullptr);
    }
    void take_back(const held_guards& outer) noexcept {
        count = outer.count;
        known = outer.known;
        calls = outer.calls;
        findings = outer.findings;
        given = outer.given;
        std::copy_n(outer.entries, known, entries);
    }

    /// Another task is about to run: what nobody is named for yet is this one's.
    void belong_to(const void* holder, std::uint64_t id) noexcept { rename(nullptr, holder, id); }
    void rename(const void* from, const void* to, std::uint64_t id) noexcept {
        for (std::uint32_t i = 0; i < known; ++i) {
            if (entries[i].holder != from) continue;
            entries[i].holder = to;
            entries[i].holder_id = id;
        }
    }
    [[nodiscard]] bool held_by(const void* holder) const noexcept {
        return std::any_of(entries, entries + known, [&](const held_guard& entry) { return entry.holder == holder; });
    }
    /// Forgets what this one holds, and calls take(entry) for each.
    template <class Take>
    void take_of(const void* holder, Take take) noexcept {
        std::uint32_t left = 0;
        for (std::uint32_t i = 0; i < known; ++i) {
            if (entries[i].holder == holder) {
                take(entries[i]);
            } else {
                entries[left++] = entries[i];
            }
        }
        count -= known - left;
        known = left;
    }

private:
    held_guard* next() noexcept {
        ++count;
        return known < capacity ? &entries[known++] : nullptr;
    }
};

/// What is to be said once the task is back.
[[nodiscard]] inline bool anything(const held_guards& here) noexcept { return (here.count | here.calls | here.findings) != 0; }

/// The calling thread's list. Not inlined: a coroutine must not keep a thread-local address across a suspension.
held_guards& this_thread_guards() noexcept;

/// While one exists, what the thread calls is belay's own doing and no task's. Not across a suspension.
class own_code {
public:
    own_code() noexcept : here_{this_thread_guards()} { ++here_.own_code; }
    own_code(const own_code&) = delete;
    own_code& operator=(const own_code&) = delete;
    ~own_code() { --here_.own_code; }

private:
    held_guards& here_;
};

/// While one exists, the calling thread runs the tasks of a runtime; what it held and had called before is none of theirs.
class guards_aside {
public:
    guards_aside() noexcept { this_thread_guards().set_aside(kept_); }
    guards_aside(const guards_aside&) = delete;
    guards_aside& operator=(const guards_aside&) = delete;
    ~guards_aside() { this_thread_guards().take_back(kept_); }

private:
    held_guards kept_;
};

}  // namespace belay::detail
