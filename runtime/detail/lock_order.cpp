#include <belay/runtime/detail/lock_order.hpp>

#include <belay/runtime/detail/arch.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/order_graph.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace belay::detail {
namespace {

/// In a program or library, where nothing is destroyed and made again.
bool is_never_destroyed([[maybe_unused]] const void* lock) noexcept {
#if __GLIBC_PREREQ(2, 35)
    dl_find_object found{};
    return ::_dl_find_object(const_cast<void*>(lock), &found) == 0;
#else
    return false;  // nobody says so
#endif
}

record* current_record() noexcept {
    worker* w = this_worker();
    return w != nullptr ? w->current() : nullptr;
}

/// Who takes a lock: two branches of one task are two, since they wait for each other. Not 0.
std::uint64_t identity(const record* rec, const held_guards& thread) noexcept {
    auto at = reinterpret_cast<std::uintptr_t>(rec != nullptr ? static_cast<const void*>(rec) : &thread);
    return (at ^ (rec != nullptr ? rec->id : 0) * 0x9e3779b97f4a7c15U) | 1U;
}

/// A thread comes here from inside the C library's locks, which an allocation here may take again.
class once_per_thread {
public:
    explicit once_per_thread(held_guards& here) noexcept : here_{here}, mine_{!std::exchange(here.ordering, true)} {
        ++here_.own_code;
    }
    once_per_thread(const once_per_thread&) = delete;
    once_per_thread& operator=(const once_per_thread&) = delete;
    ~once_per_thread() {
        --here_.own_code;
        if (mine_) here_.ordering = false;
    }
    explicit operator bool() const noexcept { return mine_; }

private:
    held_guards& here_;
    bool mine_;
};

/// To whom belongs what tasks hold. A task has few locks, and few tasks have any.
struct async_lock {
    const order_tag* tag = nullptr;
    held_lock place;
    std::uint64_t task = 0;  // another one may have the record by now, if the guard is on the heap
};

/// How many asynchronous locks are held by tasks whose records have this hash: 0 says that a task has none.
constexpr std::size_t hint_count = 1024;
constinit std::array<std::atomic<std::uint32_t>, hint_count> hints{};
std::atomic<std::uint32_t>& hint_of(const record* rec) noexcept {
    return hints[(reinterpret_cast<std::uintptr_t>(rec) >> 6U) % hint_count];
}

constinit std::atomic<bool> any_found{false};

}  // namespace

class order_book {
public:
    /// Of the process, for ever: locks are destroyed after main(). There is one once watches_order().
    static order_book& get() noexcept { return *the_one; }
    static void make() {
        static std::once_flag once;
        std::call_once(once, [] {
            the_one = new order_book;
            // A child has the thread that forked, and no other one that could give the lock back.
            ::pthread_atfork([] { get().lock_.lock(); }, [] { get().lock_.unlock(); }, [] { get().lock_.unlock(); });
        });
    }

    /// The thread may be inside its allocator, and hold the lock that the one in here waits for: nobody is waited for for long.
    void take(order_tag* tag, const held_lock& taken, record* rec, held_guards& here) {
        std::unique_lock guard(lock_, std::defer_lock);
        for (int tries = 0; !guard.try_lock(); ++tries) {
            if (tries == most_tries) return;
            cpu_relax();
        }
        std::array<held, held_guards::capacity + most_async> all;
        std::size_t count = 0;
        for (std::uint32_t i = 0; i < here.known; ++i) {
            const held_guard& g = here.entries[i];
            if (g.holder != nullptr && g.holder != rec) continue;  // another task's of this poll, which waits or has ended
            node id = g.tag != nullptr ? node_of(*g.tag) : node_of(g.lock);
            if (id != 0) all[count++] = {id, {g.lock, g.site, g.callers}, g.shared};
        }
        if (rec != nullptr) count += add_async(*rec, std::span{all}.subspan(count));
        if (count == 0) return;
        node to = tag != nullptr ? node_of(*tag) : node_of(taken.lock);
        if (to == 0) return;
        order_step step;
        step.taken = taken;
        if (rec != nullptr) {
            step.task = rec->id;
            auto name = name_of(*rec).substr(0, step.name.size() - 1);
            std::copy(name.begin(), name.end(), step.name.begin());
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (all[i].id != to) continue;
            step.held = all[i].place;
            if (tag != nullptr) add_finding({step}, rec, here);  // a lock of the C library may be recursive
            return;
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::array<node, held_guards::capacity + most_async> gates;
            std::size_t gate_count = 0;
            for (std::size_t j = 0; j < count; ++j)
                if (j != i && !all[j].shared) gates[gate_count++] = all[j].id;
            step.held = all[i].place;
            auto cycle = graph_.note(all[i].id, to, identity(rec, here), std::span{gates}.first(gate_count), step);
            if (cycle.empty()) continue;
            add_finding(std::move(cycle), rec, here);
            return;
        }
    }

    void locked(order_tag& tag, const held_lock& place, record& rec) {
        std::scoped_lock guard(lock_);
        if (node_of(tag) == 0) return;
        held_[&rec].push_back({&tag, place, rec.id});
        tag.holder_ = &rec;
        hint_of(&rec).fetch_add(1, std::memory_order_relaxed);  // read by this task: its own order is enough
    }

    void unlocked(order_tag& tag) noexcept {
        std::scoped_lock guard(lock_);
        remove(tag);
    }

    void destroyed(order_tag& tag) noexcept {
        std::scoped_lock guard(lock_);
        remove(tag);
        graph_.remove(tag.node_.load(std::memory_order_relaxed));
    }

    struct finding {
        order_inversion what;
        const runtime_core* where = nullptr;  // null: a thread found it
    };
    std::vector<finding> take_findings(const runtime_core& core) noexcept {
        std::vector<finding> mine;
        std::scoped_lock guard(lock_);
        auto others = std::partition(found_.begin(), found_.end(),
                                     [&](const finding& f) { return f.where != nullptr && f.where != &core; });
        try {
            mine.assign(std::make_move_iterator(others), std::make_move_iterator(found_.end()));
        } catch (...) {
            return {};  // it stays for later
        }
        found_.erase(others, found_.end());
        if (found_.empty()) any_found.store(false, std::memory_order_relaxed);  // written under lock_; a hint
        return mine;
    }

private:
    using node = order_graph::node;
    static constexpr std::size_t most_async = 16;
    static constexpr std::size_t most_found = 16;  // that nobody has reported yet
    static constexpr int most_tries = 2'000;
    struct held {
        node id = 0;
        held_lock place;
        bool shared = false;  // with others: it keeps them from nothing
    };

    node node_of(const order_tag& tag) {
        auto& id = const_cast<order_tag&>(tag).node_;
        if (id.load(std::memory_order_relaxed) == 0) id.store(graph_.add(), std::memory_order_relaxed);  // under lock_
        return id.load(std::memory_order_relaxed);
    }
    /// 0: it cannot be followed.
    node node_of(const void* lock) {
        if (!is_never_destroyed(lock)) return 0;
        auto known = library_locks_.find(lock);
        return known != library_locks_.end() ? known->second : library_locks_.emplace(lock, graph_.add()).first->second;
    }

    std::size_t add_async(const record& rec, std::span<held> to) {
        auto at = held_.find(&rec);
        if (at == held_.end()) return 0;
        std::size_t count = 0;
        for (const async_lock& l : at->second) {
            if (count == to.size() || count == most_async) break;
            if (l.task == rec.id) to[count++] = {node_of(*l.tag), l.place, false};
        }
        return count;
    }

    void remove(order_tag& tag) noexcept {
        const record* holder = std::exchange(tag.holder_, nullptr);
        if (holder == nullptr) return;
        auto list = held_.find(holder);
        list->second.erase(std::ranges::find(list->second, &tag, &async_lock::tag));
        if (list->second.empty()) held_.erase(list);
        hint_of(holder).fetch_sub(1, std::memory_order_relaxed);
    }

    void add_finding(std::vector<order_step> steps, record* rec, held_guards& here) {
        if (found_.size() == most_found) return;
        finding& f = found_.emplace_back();
        f.what.steps = std::move(steps);
        ++here.findings;
        any_found.store(true, std::memory_order_relaxed);  // under lock_; a hint
        if (rec == nullptr) return;
        f.where = &rec->core();
        if (!snapshot_unpinned(rec, f.what.task)) f.what.task.id = rec->id;
    }

    static inline constinit order_book* the_one = nullptr;  // before order_is_watched
    spin_lock lock_;  // of all below. It allocates under it, unlike other users of a spin lock: see take()
    order_graph graph_;
    std::unordered_map<const void*, node> library_locks_;
    std::unordered_map<const record*, std::vector<async_lock>> held_;
    std::vector<finding> found_;
};

void order_tag::forget() noexcept {
    once_per_thread once{this_thread_guards()};
    if (once) order_book::get().destroyed(*this);
}

namespace {

bool holds_any(const record* rec, const held_guards& here) noexcept {
    return here.known != 0 || (rec != nullptr && hint_of(rec).load(std::memory_order_relaxed) != 0);
}

void taking(order_tag* tag, const held_lock& taken) noexcept {
    held_guards& here = this_thread_guards();
    record* rec = current_record();
    if (!holds_any(rec, here)) return;
    once_per_thread once{here};
    if (!once) return;
    try {
        order_book::get().take(tag, taken, rec, here);
    } catch (...) {  // out of memory
    }
}

}  // namespace

void watch_order() {
    order_book::make();
    order_is_watched.store(true, std::memory_order_release);  // pairs with watches_order()
}

std::source_location await_site() noexcept {
    const record* rec = current_record();
    return rec != nullptr && rec->leaf != nullptr ? rec->leaf->site : std::source_location{};
}

void order_taking(order_tag& tag, const void* lock, std::source_location at) noexcept {
    held_lock taken;
    taken.lock = lock;
    taken.site = at;
    taking(&tag, taken);
}

bool order_matters(const void* lock) noexcept {
    const held_guards& here = this_thread_guards();
    return watches_order() && here.taking != lock && holds_any(current_record(), here);
}

void order_taking(const void* lock, const call_place& callers) noexcept {
    held_lock taken;
    taken.lock = lock;
    taken.callers.depth = callers.depth;
    std::copy_n(callers.callers.begin(), callers.depth, taken.callers.callers.begin());
    taking(nullptr, taken);
}

void order_locked(order_tag& tag, const void* lock, std::source_location at) noexcept {
    record* rec = current_record();
    once_per_thread once{this_thread_guards()};
    if (rec == nullptr || !once) return;
    held_lock place;
    place.lock = lock;
    place.site = at;
    try {
        order_book::get().locked(tag, place, *rec);
    } catch (...) {  // out of memory
    }
}

void order_unlocked(order_tag& tag) noexcept {
    once_per_thread once{this_thread_guards()};
    if (once) order_book::get().unlocked(tag);
}

void report_orders(runtime_core& core) noexcept {
    if (!any_found.load(std::memory_order_relaxed)) return;
    std::vector<order_book::finding> found;
    {
        once_per_thread once{this_thread_guards()};
        if (once) found = order_book::get().take_findings(core);
    }
    for (const auto& f : found) (f.where != nullptr ? *core.watcher : process_observer()).order_inverted(f.what);
}

}  // namespace belay::detail
