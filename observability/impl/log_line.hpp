// One line to the logger that the program handed in, if it did.
#pragma once

#include <cstdint>
#include <string_view>

namespace belay::detail {

enum class log_level : std::uint8_t { info, warning };
void log_line(log_level level, std::string_view line) noexcept;

}  // namespace belay::detail
