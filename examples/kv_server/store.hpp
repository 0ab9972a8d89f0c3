// The store: a hash map of binary strings in shards, each with its own lock, shared by all connections.
//
//     kv::store data;
//     data.set({.key = "k", .value = "v", .expires_at = now + 10s}, now);
//     data.get("k", now, [&](const kv::value& held) { out.bulk(held); });
//
// Time is an argument, never read here: a caller takes it once for many commands, and a test makes it up.
#pragma once

#include "shard.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <vector>

namespace kv {

struct store_options {
    std::size_t shards = 64;  // a power of two, at most 1024
    std::uint64_t hash_seed = std::random_device{}();
};

enum class set_condition { always, if_absent, if_present };

struct set_request {
    std::string_view key;
    std::string_view value;
    set_condition condition = set_condition::always;
    time_point expires_at = never;
    bool keep_expiry = false;  // of the value that is replaced
    bool want_old = false;
};

struct set_result {
    bool stored = false;
    std::optional<value> old;  // only if wanted
};

enum class add_status { done, not_an_integer, overflow };

struct add_result {
    add_status status;
    std::int64_t value;  // after the addition, if done
};

enum class expiry_condition : unsigned { none = 0, if_without = 1, if_with = 2, if_later = 4, if_sooner = 8 };
constexpr expiry_condition operator|(expiry_condition a, expiry_condition b) noexcept {
    return static_cast<expiry_condition>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(expiry_condition all, expiry_condition one) noexcept {
    return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0;
}

struct store_usage {
    std::size_t keys = 0;
    std::size_t expiring = 0;
    std::size_t bytes = 0;  // approximately
    std::uint64_t expired = 0;
};

// Contract:
// - Any member may be called from any thread. Each command is atomic: the ones of several keys hold the locks of all
//   their shards, taken in index order; size(), usage() and keys() visit one shard after the other instead.
// - A key is gone at its expiry, whether or not expire_some() has come by; until then it counts in size().
// - Sinks run under a shard's lock: they copy the bytes and do nothing else. Values of at least value::large_size
//   bytes are handed to them after it, and are destroyed after it, so that no lock is held for a long copy.
class store {
public:
    explicit store(store_options options = {});

    // Calls sink(const value&) if there is such a key, and says whether there is.
    template <class Sink>
    bool get(std::string_view key, time_point now, Sink&& sink);

    // Calls sink(const value*) for every key in order, all of one moment. Calls it for none and
    // returns false if the values have more than `max_bytes` together.
    template <class Sink>
    [[nodiscard]] bool get_many(std::span<const std::string_view> keys, std::size_t max_bytes, time_point now, Sink&& sink);

    set_result set(const set_request& request, time_point now);
    void set_many(std::span<const std::string_view> keys_and_values, time_point now);  // key, value, key, value, ...

    std::size_t erase(std::span<const std::string_view> keys, time_point now);        // how many there were
    std::size_t count(std::span<const std::string_view> keys, time_point now);        // a key named twice counts twice
    std::optional<std::size_t> length(std::string_view key, time_point now);

    add_result add(std::string_view key, std::int64_t delta, time_point now);
    // The new length; nothing, and no change, if that would be more than `max_size`.
    std::optional<std::size_t> append(std::string_view key, std::string_view suffix, std::size_t max_size, time_point now);

    bool expire(std::string_view key, time_point expires_at, expiry_condition condition, time_point now);
    bool persist(std::string_view key, time_point now);                               // whether there was an expiry
    std::optional<time_point> expiry(std::string_view key, time_point now);           // `never` if it has none

    void for_each_key(time_point now, const std::function<void(std::string_view)>& sink);
    void clear();

    // The active cycle: looks at about `budget` entries and removes the expired ones, a few under each lock.
    std::size_t expire_some(time_point now, std::size_t budget);

    std::size_t size();
    store_usage usage();

private:
    class multi_lock;

    [[nodiscard]] hashed_key hashed(std::string_view key) const { return {key, hash_bytes(key, seed_)}; }
    [[nodiscard]] std::size_t index_of(hashed_key key) const noexcept { return (key.hash >> 48U) & mask_; }
    [[nodiscard]] shard& shard_of(hashed_key key) const noexcept { return shards_[index_of(key)]; }
    entry* find(std::string_view key, time_point now) const;  // its shard is locked

    std::uint64_t seed_;
    std::size_t mask_;
    std::unique_ptr<shard[]> shards_;
    std::atomic<std::size_t> next_to_expire_{0};  // relaxed: any two calls may visit the same shard, at no harm
};

// The locks of the shards of some keys, or of all shards, taken in index order so that no two of them can deadlock.
class store::multi_lock {
public:
    explicit multi_lock(const store& owner);
    multi_lock(const store& owner, std::span<const std::string_view> keys, std::size_t stride);
    ~multi_lock();
    multi_lock(const multi_lock&) = delete;
    multi_lock& operator=(const multi_lock&) = delete;

private:
    static constexpr std::size_t words = 16;

    void lock_wanted();

    const store& owner_;
    std::uint64_t wanted_[words] = {};
};

template <class Sink>
bool store::get(std::string_view key, time_point now, Sink&& sink) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    std::optional<value> large;
    {
        const std::lock_guard lock(home.mutex);
        const entry* const found = home.find(hashed_one, now);
        if (!found) return false;
        if (!found->data.is_large()) {
            sink(found->data);
            return true;
        }
        large = found->data;
    }
    sink(*large);
    return true;
}

template <class Sink>
bool store::get_many(std::span<const std::string_view> keys, std::size_t max_bytes, time_point now, Sink&& sink) {
    std::vector<std::optional<value>> late;  // from the first large one on, so that the order is kept
    {
        const multi_lock lock(*this, keys, 1);
        std::size_t bytes = 0;
        for (const std::string_view key : keys) {
            const entry* const found = find(key, now);
            if (!found) continue;
            if (found->data.size() > max_bytes - bytes) return false;
            bytes += found->data.size();
        }
        for (const std::string_view key : keys) {
            const entry* const found = find(key, now);
            if (late.empty() && !(found && found->data.is_large())) {
                sink(found ? &found->data : nullptr);
            } else {
                late.push_back(found ? std::optional(found->data) : std::nullopt);
            }
        }
    }
    for (const auto& one : late) sink(one ? &*one : nullptr);
    return true;
}

}  // namespace kv
