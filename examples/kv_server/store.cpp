#include "store.hpp"

#include "number.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace kv {

store::store(store_options options) : seed_(options.hash_seed), mask_(options.shards - 1) {
    if (!std::has_single_bit(options.shards) || options.shards > 1024) {
        throw std::invalid_argument("store_options.shards must be a power of two, at most 1024");
    }
    shards_ = std::make_unique<shard[]>(options.shards);
    for (std::size_t i = 0; i <= mask_; ++i) shards_[i].seed(seed_);
}

entry* store::find(std::string_view key, time_point now) const {
    const hashed_key hashed_one = hashed(key);
    return shard_of(hashed_one).find(hashed_one, now);
}

set_result store::set(const set_request& request, time_point now) {
    const hashed_key key = hashed(request.key);
    shard& home = shard_of(key);
    value fresh;  // made before the lock is taken if that is long work; then holds the old value until it is released
    const bool large = request.value.size() >= value::large_size;
    if (large) fresh.assign(request.value);
    set_result result;

    const std::lock_guard lock(home.mutex);
    entry* target = home.find(key, now);
    if (target && request.want_old) result.old = target->data;
    if (request.condition == set_condition::if_absent && target) return result;
    if (request.condition == set_condition::if_present && !target) return result;
    if (!target) target = &home.find_or_create(key, now);
    home.change(*target, [&](value& held) {
        if (!large && !held.is_large()) return held.assign(request.value);
        if (!large) fresh.assign(request.value);
        held.swap(fresh);
    });
    if (!request.keep_expiry) home.set_expiry(*target, request.expires_at);
    result.stored = true;
    return result;
}

void store::set_many(std::span<const std::string_view> keys_and_values, time_point now) {
    std::vector<value> replaced;  // large ones, destroyed after the locks are released
    const multi_lock lock(*this, keys_and_values, 2);
    for (std::size_t i = 0; i + 1 < keys_and_values.size(); i += 2) {
        const hashed_key key = hashed(keys_and_values[i]);
        shard& home = shard_of(key);
        entry& target = home.find_or_create(key, now);
        home.change(target, [&](value& held) {
            if (held.is_large()) replaced.push_back(std::exchange(held, value()));
            held.assign(keys_and_values[i + 1]);
        });
        home.set_expiry(target, never);
    }
}

std::size_t store::erase(std::span<const std::string_view> keys, time_point now) {
    if (keys.size() == 1) {
        const hashed_key key = hashed(keys[0]);
        shard& home = shard_of(key);
        shard::map::node_type removed;
        const std::lock_guard lock(home.mutex);
        removed = home.take(key, now);
        return removed ? 1 : 0;
    }
    std::vector<shard::map::node_type> removed;
    removed.reserve(keys.size());
    const multi_lock lock(*this, keys, 1);
    for (const std::string_view one : keys) {
        const hashed_key key = hashed(one);
        if (auto node = shard_of(key).take(key, now)) removed.push_back(std::move(node));
    }
    return removed.size();
}

std::size_t store::count(std::span<const std::string_view> keys, time_point now) {
    const multi_lock lock(*this, keys, 1);
    return static_cast<std::size_t>(std::ranges::count_if(keys, [&](std::string_view key) { return find(key, now) != nullptr; }));
}

std::optional<std::size_t> store::length(std::string_view key, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    const std::lock_guard lock(home.mutex);
    const entry* const found = home.find(hashed_one, now);
    return found ? std::optional(found->data.size()) : std::nullopt;
}

add_result store::add(std::string_view key, std::int64_t delta, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    const std::lock_guard lock(home.mutex);
    entry* target = home.find(hashed_one, now);
    const auto before = target ? parse_integer(target->data.view()) : std::optional<std::int64_t>(0);
    if (!before) return {add_status::not_an_integer, 0};
    using limits = std::numeric_limits<std::int64_t>;
    if (delta > 0 ? *before > limits::max() - delta : *before < limits::min() - delta) return {add_status::overflow, 0};
    const std::int64_t after = *before + delta;
    if (!target) target = &home.find_or_create(hashed_one, now);
    home.change(*target, [&](value& held) { held.assign(printed_integer(after).view()); });
    return {add_status::done, after};
}

std::optional<std::size_t> store::append(std::string_view key, std::string_view suffix, std::size_t max_size, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    const std::lock_guard lock(home.mutex);
    entry* target = home.find(hashed_one, now);
    const std::size_t before = target ? target->data.size() : 0;
    if (suffix.size() > max_size - std::min(before, max_size)) return std::nullopt;
    if (!target) target = &home.find_or_create(hashed_one, now);
    home.change(*target, [&](value& held) { held.append(suffix); });
    return before + suffix.size();
}

bool store::expire(std::string_view key, time_point expires_at, expiry_condition condition, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    shard::map::node_type removed;
    const std::lock_guard lock(home.mutex);
    entry* const target = home.find(hashed_one, now);
    if (!target) return false;
    // No expiry is the latest of all: `never` is the greatest time point.
    const time_point current = target->expires_at;
    if (has(condition, expiry_condition::if_without) && current != never) return false;
    if (has(condition, expiry_condition::if_with) && current == never) return false;
    if (has(condition, expiry_condition::if_later) && expires_at <= current) return false;
    if (has(condition, expiry_condition::if_sooner) && expires_at >= current) return false;
    if (expires_at <= now) {
        removed = home.take(hashed_one, now);
    } else {
        home.set_expiry(*target, expires_at);
    }
    return true;
}

bool store::persist(std::string_view key, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    const std::lock_guard lock(home.mutex);
    entry* const target = home.find(hashed_one, now);
    if (!target || target->expires_at == never) return false;
    home.set_expiry(*target, never);
    return true;
}

std::optional<time_point> store::expiry(std::string_view key, time_point now) {
    const hashed_key hashed_one = hashed(key);
    shard& home = shard_of(hashed_one);
    const std::lock_guard lock(home.mutex);
    const entry* const found = home.find(hashed_one, now);
    return found ? std::optional(found->expires_at) : std::nullopt;
}

void store::for_each_key(time_point now, const std::function<void(std::string_view)>& sink) {
    for (std::size_t i = 0; i <= mask_; ++i) {
        const std::lock_guard lock(shards_[i].mutex);
        for (const auto& [key, held] : shards_[i].entries()) {
            if (held.expires_at > now) sink(key);
        }
    }
}

void store::clear() {
    std::vector<shard::map> removed;
    removed.reserve(mask_ + 1);
    const multi_lock lock(*this);
    for (std::size_t i = 0; i <= mask_; ++i) removed.push_back(shards_[i].take_all());
}

std::size_t store::expire_some(time_point now, std::size_t budget) {
    constexpr std::size_t per_lock = 64;
    std::size_t removed = 0;
    for (std::size_t visited = 0; visited <= mask_ && budget > 0; ++visited) {
        shard& one = shards_[next_to_expire_.fetch_add(1, std::memory_order_relaxed) & mask_];
        const std::lock_guard lock(one.mutex);
        const std::size_t spent = one.expiring() > 0 ? std::min(budget, per_lock) : 1;
        removed += one.expire_some(now, spent);
        budget -= spent;
    }
    return removed;
}

std::size_t store::size() { return usage().keys; }

store_usage store::usage() {
    store_usage sum;
    for (std::size_t i = 0; i <= mask_; ++i) {
        const std::lock_guard lock(shards_[i].mutex);
        sum.keys += shards_[i].entries().size();
        sum.expiring += shards_[i].expiring();
        sum.bytes += shards_[i].bytes();
        sum.expired += shards_[i].expired();
    }
    return sum;
}

store::multi_lock::multi_lock(const store& owner) : owner_(owner) {
    for (std::size_t i = 0; i <= owner.mask_; ++i) wanted_[i / 64] |= std::uint64_t{1} << (i % 64);
    lock_wanted();
}

store::multi_lock::multi_lock(const store& owner, std::span<const std::string_view> keys, std::size_t stride) : owner_(owner) {
    for (std::size_t i = 0; i < keys.size(); i += stride) {
        const std::size_t index = owner.index_of(owner.hashed(keys[i]));
        wanted_[index / 64] |= std::uint64_t{1} << (index % 64);
    }
    lock_wanted();
}

void store::multi_lock::lock_wanted() {
    for (std::size_t word = 0; word < words; ++word) {
        for (std::uint64_t bits = wanted_[word]; bits != 0; bits &= bits - 1) {
            owner_.shards_[word * 64 + static_cast<std::size_t>(std::countr_zero(bits))].mutex.lock();
        }
    }
}

store::multi_lock::~multi_lock() {
    for (std::size_t word = 0; word < words; ++word) {
        for (std::uint64_t bits = wanted_[word]; bits != 0; bits &= bits - 1) {
            owner_.shards_[word * 64 + static_cast<std::size_t>(std::countr_zero(bits))].mutex.unlock();
        }
    }
}

}  // namespace kv
