// Reports that are not to be written, by what stands in them.
#pragma once

#include <belay/observability/report.hpp>

#include <string_view>

namespace belay::detail {

/// Some pattern matches. Takes a lock that nobody holds for long.
bool is_suppressed(const report& what) noexcept;
/// The file of BELAY_SUPPRESSIONS, at the first call that succeeds. Throws as guardrails::suppress_file().
void load_suppressions_once();
/// `pattern` occurs in `text`; `*` stands for any characters.
bool occurs(std::string_view pattern, std::string_view text) noexcept;

}  // namespace belay::detail
