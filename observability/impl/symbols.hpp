// Names of code addresses, without the dynamic loader's lock: a worker may be stuck inside dlopen, and dladdr would then make
// the watchdog wait for it. Reads the symbol tables from the files, so functions need not be exported.
#pragma once

#include <belay/observability/report.hpp>

#include <cstdint>

namespace belay::detail {

/// True if the address lies in a loaded module's mapping.
bool is_module_address(std::uint64_t address) noexcept;
/// Where in its module the address lies; the same in every process. 0 outside of all.
std::uint64_t module_offset(std::uint64_t address) noexcept;
/// "Db::query(std::string_view)" and "app+0x1f2a0". `address` is where the function stands, so for a return address the
/// caller subtracts one.
report_frame symbolise(std::uint64_t address);

}  // namespace belay::detail
