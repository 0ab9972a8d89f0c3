// The patterns of KEYS and CONFIG GET: `*`, `?`, `[a-c]`, `[^x]`, `\` before a character that stands for itself.
#pragma once

#include <string_view>

namespace kv {

enum class letter_case { matters, ignored };

// Time is at most proportional to pattern.size() * text.size(): no pattern can make a server busy for long.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text,
                              letter_case letters = letter_case::matters) noexcept;

}  // namespace kv
