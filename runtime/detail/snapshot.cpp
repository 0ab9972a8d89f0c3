#include <belay/runtime/detail/snapshot.hpp>

#include <belay/runtime/detail/read_memory.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace belay::detail {
namespace {

/// As a debugger would.
template <class T>
bool read_object(const void* from, T& to) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    return read_memory(from, &to, sizeof to);
}

/// The name is the task's and may go with it, so it is read like everything else. Up to the end of its page at least.
void copy_name(const char* name, task_snapshot& out) noexcept {
    if (name == nullptr) return;
    out.name[read_memory_up_to(name, out.name.data(), out.name.size() - 1)] = '\0';
}

bool is_loaded(std::source_location at) noexcept {
    static_assert(sizeof at == sizeof(const void*));
    const auto* text = std::bit_cast<const void*>(at);
    return text == nullptr || belay::detail::is_loaded(text);
}

constexpr std::uintptr_t stopper_bits = record::claimed_bit | record::released_bit;

/// What was read where a record was, and may be no more: another object may live there by now, and what it has where a record has its
/// texts must not be followed.
bool is_record(const std::byte* bytes) noexcept {
    const void* vtable = nullptr;
    std::memcpy(&vtable, bytes, sizeof vtable);
    return belay::detail::is_loaded(vtable) && is_loaded(reinterpret_cast<const record*>(bytes)->spawn_site());
}

/// What is written before a record is published, but for the name.
__attribute__((no_sanitize("vptr"))) void copy_head(const std::byte* bytes, task_snapshot& out) noexcept {
    const auto& copy = *reinterpret_cast<const record*>(bytes);
    out.id = copy.id;
    copy_name(copy.name.load(std::memory_order_relaxed), out);
    out.spawned = copy.spawn_site();
}

void add_frame(task_snapshot& out, std::source_location site) noexcept {
    if (out.depth < task_snapshot::max_frames) {
        out.stack[out.depth++] = site;
    } else {
        out.cut = true;
    }
}

}  // namespace

const record* read_owner(const operation& op) noexcept {
    const record* owner = nullptr;
    return read_object(&op.rec_, owner) ? owner : nullptr;
}

void snapshot_record(const record& rec, task_snapshot& out) noexcept {
    out = {};
    out.id = rec.id;
    copy_name(rec.name.load(std::memory_order_relaxed), out);
    out.spawned = rec.spawn_site();
    auto word = rec.slot.load(std::memory_order_acquire) & ~stopper_bits;
    out.waiting_on = word > record::completed ? reinterpret_cast<operation*>(word)->what()
                     : rec.leaf == nullptr    ? "not started"
                                              : "ready";
    for (promise_base* frame = rec.leaf; frame != nullptr; frame = frame->parent) add_frame(out, frame->site);
}

void snapshot_pinning(record& rec, task_snapshot& out) noexcept {
    auto seen = rec.slot.load(std::memory_order_acquire);
    bool waits = seen > record::completed && (seen & record::claimed_bit) == 0;
    // acquire: the operation and the frames above it are visible. Claimed, the task cannot be resumed; see record.hpp.
    if (waits && rec.slot.compare_exchange_strong(seen, seen | record::claimed_bit, std::memory_order_acq_rel)) {
        snapshot_record(rec, out);
        auto claimed = seen | record::claimed_bit;
        if (!rec.slot.compare_exchange_strong(claimed, seen, std::memory_order_acq_rel)) schedule(rec);
        return;
    }
    out = {};
    out.id = rec.id;
    copy_name(rec.name.load(std::memory_order_relaxed), out);
    out.spawned = rec.spawn_site();
    out.waiting_on = "running or ready";
}

bool name_unpinned(const record* rec, task_snapshot& out) noexcept {
    out = {};
    alignas(record) std::byte bytes[sizeof(record)];
    if (!read_object(rec, bytes) || !is_record(bytes)) return false;
    copy_head(bytes, out);
    out.waiting_on = "running or ready";
    return true;
}

// Not looked at by UBSan: that the bytes are a record's is what is found out here.
__attribute__((no_sanitize("vptr"))) bool snapshot_unpinned(const record* rec, task_snapshot& out) noexcept {
    out = {};
    alignas(record) std::byte before[sizeof(record)];
    alignas(record) std::byte after[sizeof(record)];
    if (!read_object(rec, before)) return false;
    const record& seen = *reinterpret_cast<const record*>(before);
    if (!is_record(before)) return false;
    task_snapshot found;
    copy_head(before, found);
    // relaxed, of a copy: a word for a reader. What the task is suspended on is not looked at.
    bool waits = (seen.slot.load(std::memory_order_relaxed) & ~stopper_bits) > record::completed;
    found.waiting_on = waits ? "suspended" : seen.leaf == nullptr ? "not started" : "running or ready";
    const promise_base* frame = seen.leaf;
    for (int guard = 0; frame != nullptr && guard < 4096; ++guard) {
        alignas(promise_base) std::byte frame_bytes[sizeof(promise_base)];
        if (!read_object(frame, frame_bytes)) return false;
        const auto& promise = *reinterpret_cast<const promise_base*>(frame_bytes);
        if (!is_loaded(promise.site)) return false;
        add_frame(found, promise.site);
        frame = promise.parent;
    }
    // What is the same before and after did not run meanwhile.
    if (!read_object(rec, after) || std::memcmp(before, after, sizeof(record)) != 0) return false;
    out = found;
    return true;
}

__attribute__((no_sanitize("vptr"))) bool snapshot_running(const worker& w, std::uint64_t epoch, task_snapshot& out) noexcept {
    out = {};
    out.waiting_on = "running";
    record* rec = w.current();
    alignas(record) std::byte bytes[sizeof(record)];
    auto unchanged = [&] { return w.epoch() == epoch && w.current() == rec; };
    if (rec == nullptr) return unchanged();  // between two tasks of one chain of transfers
    if (!read_object(rec, bytes) || !unchanged()) return false;
    const record& copy = *reinterpret_cast<const record*>(bytes);
    if (!is_record(bytes)) return false;
    copy_head(bytes, out);
    const promise_base* frame = copy.leaf;
    for (int guard = 0; frame != nullptr && guard < 4096; ++guard) {
        alignas(promise_base) std::byte frame_bytes[sizeof(promise_base)];
        if (!read_object(frame, frame_bytes) || !unchanged()) return false;
        const auto& promise = *reinterpret_cast<const promise_base*>(frame_bytes);
        add_frame(out, promise.site);
        frame = promise.parent;
    }
    return unchanged();
}

// Not looked at by UBSan: where a node was, anything may lie.
__attribute__((no_sanitize("vptr", "alignment"))) bool is_running_below(const worker& w, std::uint64_t epoch, const record* rec,
                                                                        const stop_node& top) noexcept {
    auto unchanged = [&] { return w.epoch() == epoch && w.current() == rec; };
    alignas(record) std::byte bytes[sizeof(record)];
    if (!read_object(rec, bytes) || !unchanged()) return false;
    const stop_node* node = &reinterpret_cast<const record*>(bytes)->node();
    for (int guard = 0; node != nullptr && node != &top && guard < 4096; ++guard)
        if (!read_object(&node->parent, node)) return false;
    return node == &top && unchanged();
}

bool can_be_shown(std::source_location kept) noexcept { return is_loaded(kept); }

bool can_be_shown(const task_snapshot& kept) noexcept {
    auto end = kept.stack.begin() + static_cast<std::ptrdiff_t>(kept.depth);
    return is_loaded(kept.spawned) && std::all_of(kept.stack.begin(), end, [](std::source_location at) { return is_loaded(at); });
}

}  // namespace belay::detail
