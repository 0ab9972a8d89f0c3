#include "shard.hpp"

#include <utility>

namespace kv {
namespace {

// What malloc and the map add to an entry: the node's link and cached hash, a bucket, two allocation headers.
constexpr std::size_t node_overhead = 2 * sizeof(void*) + sizeof(void*) + 2 * sizeof(std::size_t);

std::size_t cost(const std::string& key, const entry& held) {
    const std::size_t key_heap = key.capacity() > 15 ? key.capacity() : 0;
    return sizeof(shard::map::value_type) + node_overhead + key_heap + held.data.heap_size();
}

bool is_expired(const entry& held, time_point now) noexcept { return held.expires_at <= now; }

}  // namespace

entry* shard::find(hashed_key key, time_point now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    if (is_expired(found->second, now)) [[unlikely]] {
        take(found);
        ++expired_;
        return nullptr;
    }
    return &found->second;
}

entry& shard::find_or_create(hashed_key key, time_point now) {
    if (entry* existing = find(key, now)) return *existing;
    const auto created = entries_.try_emplace(std::string(key.text)).first;
    bytes_ += cost(created->first, created->second);
    return created->second;
}

shard::map::node_type shard::take(hashed_key key, time_point now) {
    if (find(key, now) == nullptr) return {};
    return take(entries_.find(key));
}

shard::map::node_type shard::take(map::iterator position) {
    bytes_ -= cost(position->first, position->second);
    if (position->second.expires_at != never) --expiring_;
    return entries_.extract(position);
}

void shard::set_expiry(entry& target, time_point expires_at) {
    if (target.expires_at != never) --expiring_;
    target.expires_at = expires_at;
    if (target.expires_at != never) ++expiring_;
}

std::size_t shard::expire_some(time_point now, std::size_t budget) {
    std::size_t removed = 0;
    const std::size_t buckets = entries_.bucket_count();
    for (std::size_t visited = 0; visited < buckets && budget > 0 && expiring_ > 0; ++visited) {
        if (cursor_ >= buckets) cursor_ = 0;
        bool found_one = true;
        while (found_one) {  // a removal invalidates the bucket's iterators: look again from its start
            found_one = false;
            for (auto it = entries_.begin(cursor_); it != entries_.end(cursor_) && budget > 0; ++it) {
                --budget;
                if (!is_expired(it->second, now)) continue;
                take(entries_.find(it->first));
                ++expired_;
                ++removed;
                found_one = true;
                break;
            }
        }
        if (budget > 0) --budget;
        ++cursor_;
    }
    return removed;
}

shard::map shard::take_all() {
    map empty(0, entries_.hash_function());
    bytes_ = 0;
    expiring_ = 0;
    cursor_ = 0;
    entries_.swap(empty);
    return empty;
}

}  // namespace kv
