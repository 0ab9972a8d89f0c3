#include <belay/observability/guardrails.hpp>

#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BELAY_SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define BELAY_SLOW_BUILD 1
#endif
#endif

namespace belay {

namespace {

/// What is fixed of a guardrail, in the order of the enumeration.
struct traits {
    std::string_view name;
    std::string_view word;
    bool takes_threshold = false;
    bool always_logs = false;  // by default, also in a debug build
};
constexpr std::array<traits, guardrail_count> all_traits{{
    {"blocked_worker", "stall", true},
    {"guard_across_suspension", "lock"},
    {"blocking_call", "block", true},
    {"stop_ignored", "stop", true},
    {"cleanup_overrun", "cleanup", false, true},
    {"task_leak", "leak"},
    {"lost_error", "error", false, true},
    {"never_awaited", "await"},
    {"deadlock", "deadlock", true, true},
    {"fan_out", "fanout", false, true},
    {"pool_saturated", "pool", true, true},
    {"borrowed_captures", "capture", false, true},
    {"lock_order", "order", false, true},
    {"starvation", "starve", true, true},
}};
static_assert(all_traits.back().word == "starve" && static_cast<std::size_t>(guardrail::starvation) + 1 == guardrail_count);

/// Null for what is none.
const traits* traits_of(guardrail kind) noexcept {
    auto index = static_cast<std::size_t>(kind);
    return index < all_traits.size() ? &all_traits[index] : nullptr;
}

/// "stall, lock, block": the words of those that satisfy `wanted`, with `last` before the last one.
template <class Wanted>
std::string words(Wanted wanted, std::string_view last) {
    std::string list;
    std::string_view before;
    auto add = [&](std::string_view separator) {
        if (!before.empty()) list.append(list.empty() ? "" : separator).append(before);
    };
    for (const traits& t : all_traits) {
        if (!wanted(t)) continue;
        add(", ");
        before = t.word;
    }
    add(last);
    return list;
}

}  // namespace

std::string_view to_string(guardrail kind) noexcept {
    const traits* t = traits_of(kind);
    return t != nullptr ? t->name : "unknown";
}

namespace guardrails {
namespace {

using namespace std::chrono_literals;

#ifdef BELAY_SLOW_BUILD
constexpr bool slow_build = true;
#else
constexpr bool slow_build = false;
#endif
#ifdef NDEBUG
constexpr bool release_build = true;
#else
constexpr bool release_build = false;
#endif

constexpr std::string_view action_words = "off, log, panic, callback";

bool under_valgrind() noexcept {
    const char* preload = std::getenv("LD_PRELOAD");  // Valgrind puts its own there
    return preload != nullptr && std::string_view{preload}.find("vgpreload") != std::string_view::npos;
}

std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view blanks = " \t\n";
    auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

[[noreturn]] void refuse(std::string_view whole, const std::string& problem) {
    throw std::invalid_argument("belay: guardrail policy \"" + std::string{whole} + "\": " + problem);
}

std::string quoted(std::string_view word) { return "\"" + std::string{word} + "\""; }

std::optional<guardrail> find_guardrail(std::string_view word) noexcept {
    for (std::size_t i = 0; i < guardrail_count; ++i)
        if (policy_word(static_cast<guardrail>(i)) == word) return static_cast<guardrail>(i);
    return std::nullopt;
}

action parse_action(std::string_view word, std::string_view whole) {
    for (auto a : {action::off, action::log, action::panic, action::callback})
        if (to_string(a) == word) return a;
    refuse(whole, quoted(word) + " is not an action; accepted: " + std::string{action_words});
}

std::chrono::nanoseconds parse_duration(std::string_view text, std::string_view whole) {
    std::int64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
    std::int64_t scale = unit == "ns" ? 1 : unit == "us" ? 1'000 : unit == "ms" ? 1'000'000 : unit == "s" ? 1'000'000'000 : 0;
    if (error != std::errc{} || scale == 0 || number <= 0 || number > 3'600'000'000'000 / scale)
        refuse(whole,
               quoted(text) + " is not a threshold; accepted: a whole number with ns, us, ms or s, above 0 and up to 3600s");
    return std::chrono::nanoseconds{number * scale};
}

void apply(policy& to, std::string_view entry, std::string_view whole) {
    auto equals = entry.find('=');
    if (equals == std::string_view::npos)
        refuse(whole, quoted(entry) + " has no '='; write guardrail=action, for example stall=panic:50ms");
    auto word = trim(entry.substr(0, equals));
    auto value = trim(entry.substr(equals + 1));
    auto colon = value.find(':');
    auto then = parse_action(trim(value.substr(0, colon)), whole);
    auto kind = find_guardrail(word);
    if (!kind && word != "all")
        refuse(whole,
               quoted(word) + " is not a guardrail; accepted: " + words([](const traits&) { return true; }, ", ") + ", all");
    if (colon != std::string_view::npos) {
        auto threshold = trim(value.substr(colon + 1));
        if (!kind || !traits_of(*kind)->takes_threshold)
            refuse(whole, quoted(word) + " takes no threshold; only " +
                              words([](const traits& t) { return t.takes_threshold; }, " and ") + " do");
        bool syscalls = kind == guardrail::blocking_call && threshold == "syscalls";
        bool any = syscalls || (kind == guardrail::blocking_call && threshold == "any");
        to[*kind].threshold = any ? std::chrono::nanoseconds{0} : parse_duration(threshold, whole);
        to[*kind].syscalls = syscalls;
    }
    for (std::size_t i = 0; i < guardrail_count; ++i)
        if (!kind || *kind == static_cast<guardrail>(i)) to.rules[i].then = then;
}

}  // namespace

std::string_view policy_word(guardrail kind) noexcept {
    const traits* t = traits_of(kind);
    return t != nullptr ? t->word : "unknown";
}

std::string_view to_string(action what) noexcept {
    switch (what) {
    case action::off: return "off";
    case action::log: return "log";
    case action::panic: return "panic";
    case action::callback: return "callback";
    }
    return "unknown";
}

policy default_policy() noexcept {
    policy result;
    for (std::size_t i = 0; i < guardrail_count; ++i)
        result.rules[i].then = release_build || all_traits[i].always_logs ? action::log : action::panic;
    if (release_build) result[guardrail::lock_order].then = action::off;  // it costs more than the others: see docs/guardrails.md
    int slower = slow_build || under_valgrind() ? 10 : 1;
    result[guardrail::blocked_worker].threshold = (release_build ? 100ms : 50ms) * slower;
    result[guardrail::blocking_call].threshold = 1ms * slower;
    result[guardrail::stop_ignored].threshold = 5s * slower;
    result[guardrail::deadlock].threshold = 1s * slower;
    result[guardrail::pool_saturated].threshold = 1s * slower;
    result[guardrail::starvation].threshold = 250ms * slower;
    return result;
}

policy parse_policy(std::string_view text, const policy& base) {
    policy result = base;
    for (auto rest = text; !rest.empty();) {
        auto comma = rest.find(',');
        if (auto entry = trim(rest.substr(0, comma)); !entry.empty()) apply(result, entry, text);
        rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
    return result;
}

policy effective_policy(std::string_view text) {
    auto result = parse_policy(text, default_policy());
    const char* environment = std::getenv("BELAY_GUARDRAILS");
    if (environment == nullptr) return result;
    try {
        return parse_policy(environment, result);
    } catch (const std::invalid_argument& wrong) {
        throw std::invalid_argument(std::string{wrong.what()} + " (from BELAY_GUARDRAILS in the environment)");
    }
}

}  // namespace guardrails
}  // namespace belay
