// The hash of keys: seeded, because clients choose the keys and could otherwise choose them all to collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace kv {

// Folded 64x64 -> 128 bit multiplication, eight bytes a step.
[[nodiscard]] inline std::uint64_t hash_bytes(std::string_view text, std::uint64_t seed) noexcept {
    __extension__ typedef unsigned __int128 wide;
    const auto mix = [](std::uint64_t a, std::uint64_t b) {
        const wide product = static_cast<wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15U;
    std::uint64_t hash = mix(seed ^ text.size(), odd);
    std::uint64_t word = 0;
    for (; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
        std::memcpy(&word, text.data(), sizeof word);
        hash = mix(hash ^ word, odd ^ seed);
    }
    word = 0;
    if (!text.empty()) std::memcpy(&word, text.data(), text.size());
    return mix(hash ^ word, odd);
}

// A key on its way through the store: hashed once, for the choice of the shard and for the look-up in it.
struct hashed_key {
    std::string_view text;
    std::uint64_t hash;
};

struct key_hash {
    using is_transparent = void;
    std::uint64_t seed = 0;

    // Not noexcept on purpose: libstdc++ then keeps the hash beside each key, and compares it before the keys.
    std::size_t operator()(const hashed_key& key) const { return key.hash; }
    std::size_t operator()(const std::string& key) const { return hash_bytes(key, seed); }
};

struct key_equal {
    using is_transparent = void;
    bool operator()(const std::string& a, const std::string& b) const noexcept { return a == b; }
    bool operator()(const hashed_key& a, const std::string& b) const noexcept { return a.text == b; }
    bool operator()(const std::string& a, const hashed_key& b) const noexcept { return a == b.text; }
};

}  // namespace kv
