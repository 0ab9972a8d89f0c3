// The report of a blocked worker.
#pragma once

#include <belay/observability/impl/native_stack.hpp>
#include <belay/observability/impl/stall_watch.hpp>
#include <belay/observability/report.hpp>

#include <chrono>
#include <string>

namespace belay::detail {

/// What was read from the stuck thread.
struct stall_evidence {
    thread_syscall call;      ///< of a sleeping thread
    std::string kernel_wait;  ///< the kernel function that it sleeps in, if the kernel tells
    native_stack stack;
};

/// Reads the stuck thread. A thread that computes is interrupted by a signal; one that sleeps is only looked at.
stall_evidence gather(const worker_stall& stall, const stall_verdict& verdict);

/// Pure but for symbol names.
report describe_stall(const worker_stall& stall, const stall_verdict& verdict, const stall_evidence& evidence,
                      std::chrono::nanoseconds threshold);

}  // namespace belay::detail
