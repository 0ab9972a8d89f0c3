#include "glob.hpp"

#include <cstddef>
#include <utility>

namespace kv {
namespace {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr unsigned char order(char c, letter_case letters) noexcept {
    return static_cast<unsigned char>(letters == letter_case::ignored ? lower(c) : c);
}

struct element_match {
    bool matches;
    std::size_t next;  // where the next element of the pattern begins
};

// `at` is just after '['. A class that is not closed ends with the pattern, as in Redis.
element_match match_class(std::string_view pattern, std::size_t at, unsigned char c, letter_case letters) noexcept {
    const bool negated = at < pattern.size() && pattern[at] == '^';
    if (negated) ++at;
    bool found = false;
    for (; at < pattern.size() && pattern[at] != ']'; ++at) {
        if (pattern[at] == '\\' && at + 1 < pattern.size()) {
            found |= order(pattern[++at], letters) == c;
        } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
            unsigned char low = order(pattern[at], letters);
            unsigned char high = order(pattern[at + 2], letters);
            if (low > high) std::swap(low, high);
            found |= low <= c && c <= high;
            at += 2;
        } else {
            found |= order(pattern[at], letters) == c;
        }
    }
    return {found != negated, at < pattern.size() ? at + 1 : at};
}

// Every element but `*` takes exactly one character.
element_match match_element(std::string_view pattern, std::size_t at, unsigned char c, letter_case letters) noexcept {
    switch (pattern[at]) {
    case '?': return {true, at + 1};
    case '[': return match_class(pattern, at + 1, c, letters);
    case '\\':
        if (at + 1 < pattern.size()) ++at;
        [[fallthrough]];
    default: return {order(pattern[at], letters) == c, at + 1};
    }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, letter_case letters) noexcept {
    // Only the last `*` ever needs to give way: what an earlier one could take instead, the last can take as well.
    std::size_t after_star = std::string_view::npos;
    std::size_t star_text = 0;
    std::size_t p = 0;
    std::size_t t = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            after_star = ++p;
            star_text = t;
            continue;
        }
        if (p < pattern.size()) {
            const element_match element = match_element(pattern, p, order(text[t], letters), letters);
            if (element.matches) {
                p = element.next;
                ++t;
                continue;
            }
        }
        if (after_star == std::string_view::npos) return false;
        p = after_star;
        t = ++star_text;
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace kv
