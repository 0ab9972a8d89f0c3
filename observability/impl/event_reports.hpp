// The reports of everything that is found when it happens, as opposed to a stall, which is found by watching.
#pragma once

#include <belay/observability/report.hpp>
#include <belay/runtime/observer.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <source_location>
#include <span>
#include <string_view>

namespace belay::detail {

report describe_held_locks(const task_snapshot& task, std::span<const held_lock> locks);
report describe_inversion(const order_inversion& found);
/// `descriptor`: what call.fd stood for at the time; empty without one.
report describe_blocking_call(const task_snapshot& task, const blocking_call& call, std::string_view descriptor,
                              std::chrono::nanoseconds threshold);
report describe_ignored_stop(const ignored_stop& stop);
report describe_overrun_cleanup(const task_snapshot& task, std::chrono::nanoseconds grace, std::chrono::nanoseconds had);
report describe_deadlock(const deadlock& found);
report describe_saturated_pool(const saturated_pool& pool);
report describe_fan_out(std::string_view scope, std::size_t tasks, std::source_location spawned);
report describe_leak(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks, std::size_t total);
report describe_lost_error(std::string_view scope, std::source_location spawned, const std::exception_ptr& error);
report describe_failed_hook(std::string_view hook, unsigned worker, const std::exception_ptr& error);
report describe_never_awaited(std::source_location made, std::span<const std::source_location> given = {});
report describe_borrowed_captures(std::source_location made, std::source_location spawned);

/// Where a call came from, as far as the task's own code goes.
report_stack callers_text(std::string title, const call_place& callers);
/// "0x7ffc0d2a31f0".
std::string address_text(const void* address);

/// "std::system_error: connect: Connection refused", nested exceptions included.
std::string error_text(const std::exception_ptr& error);

}  // namespace belay::detail
