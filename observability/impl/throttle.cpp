#include <belay/observability/impl/throttle.hpp>

namespace belay::detail {

report_throttle::place* report_throttle::find(std::uint64_t key) noexcept {
    constexpr std::size_t longest_probe = 16;
    for (std::size_t i = 0; i < longest_probe; ++i) {
        place& p = places_[(key + i) % capacity];
        if (p.key == 0) p.key = key;
        if (p.key == key) return &p;
    }
    return nullptr;
}

/// Not 0, which is a free place.
std::uint64_t report_throttle::mixed(guardrail kind, std::uint64_t key) noexcept {
    auto word = key ^ ((static_cast<std::uint64_t>(kind) + 1) * 0x9e3779b97f4a7c15U);
    return word == 0 ? 1 : word;
}

report_throttle::decision report_throttle::admit(guardrail kind, std::uint64_t key, clock::time_point now, bool always) noexcept {
    place* at = find(mixed(kind, key));
    kind_state& state = kinds_[static_cast<std::size_t>(kind)];
    if (state.written == 0 || now - state.window_start >= window) {
        state.window_start = now;
        state.written = 0;
    }

    decision result;
    if (at != nullptr) result.occurrence = ++at->seen;
    bool due = at == nullptr || at->seen >= at->next;
    result.write = always || (due && state.written < reports_per_window);
    if (!result.write) {
        ++state.suppressed;
        return result;
    }
    // What the rate limit held back stays due: it is written when there is room again.
    while (at != nullptr && at->next <= at->seen) at->next *= 10;
    ++state.written;
    result.suppressed = state.suppressed;
    state.suppressed = 0;
    return result;
}

void report_throttle::suppress(guardrail kind, std::uint64_t key, std::uint64_t skipped_before) noexcept {
    kind_state& state = kinds_[static_cast<std::size_t>(kind)];
    if (state.written != 0) --state.written;
    state.suppressed += skipped_before;
    if (place* at = find(mixed(kind, key))) at->next = 2 * at->seen;
}

}  // namespace belay::detail
