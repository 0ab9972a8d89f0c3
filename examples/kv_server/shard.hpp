// One shard of the store: a map, its lock, and the accounts of both. Nothing here locks; the store does.
#pragma once

#include "key_hash.hpp"
#include "value.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace kv {

// The lock of a shard, held for one look-up and at most one copy of value::large_size bytes, and never across an await.
using shard_mutex = std::mutex;

using time_point = std::chrono::sys_time<std::chrono::milliseconds>;
inline constexpr time_point never = time_point::max();

struct entry {
    value data;
    time_point expires_at = never;
};

// A shard is aligned to two cache lines, which x86 fetches as a pair: a neighbour's lock does not slow this one.
class alignas(128) shard {
public:
    using map = std::unordered_map<std::string, entry, key_hash, key_equal>;

    shard_mutex mutex;

    void seed(std::uint64_t seed) { entries_ = map(0, key_hash{seed}); }

    // The entry, unless it is absent or expired; an expired one is removed on the way.
    entry* find(hashed_key key, time_point now);
    entry& find_or_create(hashed_key key, time_point now);
    // Takes the entry out; it is returned (empty if there is none), to be destroyed when the lock is free.
    [[nodiscard]] map::node_type take(hashed_key key, time_point now);
    void set_expiry(entry& target, time_point expires_at);

    // Every change of a value goes through here, so that the account of memory is right.
    template <class Change>
    void change(entry& target, Change&& change_value) {
        const std::size_t before = target.data.heap_size();
        change_value(target.data);
        bytes_ += target.data.heap_size() - before;  // modulo 2^64, so a smaller value subtracts
    }

    // Looks at up to `budget` entries or empty buckets, from where the last call ended. Returns how many it removed.
    std::size_t expire_some(time_point now, std::size_t budget);

    // Empties the shard; what it held is returned, to be destroyed when the lock is free.
    [[nodiscard]] map take_all();

    [[nodiscard]] const map& entries() const noexcept { return entries_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t expiring() const noexcept { return expiring_; }
    [[nodiscard]] std::uint64_t expired() const noexcept { return expired_; }

private:
    map::node_type take(map::iterator position);

    map entries_;
    std::size_t bytes_ = 0;      // approximately allocated for entries
    std::size_t expiring_ = 0;   // entries with an expiry
    std::size_t cursor_ = 0;     // the bucket where expire_some goes on
    std::uint64_t expired_ = 0;  // entries removed because their time had come
};

}  // namespace kv
