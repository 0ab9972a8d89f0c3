// Integers as Redis reads and writes them: decimal, canonical (no sign '+', no leading zero, no space), 64 bits.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace kv {

// The value of `text`, or nothing unless `text` is exactly what printing that value would give.
[[nodiscard]] inline std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    if (text.size() == 1 && text[0] >= '0' && text[0] <= '9') return text[0] - '0';
    const std::size_t first = text.starts_with('-') ? 1 : 0;
    if (text.size() <= first || text[first] < '1' || text[first] > '9') return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Room for any int64_t; `view()` is what was printed.
class printed_integer {
public:
    explicit printed_integer(std::int64_t value) noexcept : end_(std::to_chars(text_, text_ + sizeof text_, value).ptr) {}
    [[nodiscard]] std::string_view view() const noexcept { return {text_, static_cast<std::size_t>(end_ - text_)}; }
    printed_integer(const printed_integer&) = delete;
    printed_integer& operator=(const printed_integer&) = delete;

private:
    char text_[20];
    char* end_;
};

}  // namespace kv
