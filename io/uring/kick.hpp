// Makes every thread of this process that is on a CPU pass through the kernel, where a COOP_TASKRUN ring posts the
// completions that wait for it. No signal, no handler: membarrier's inter-processor interrupt is enough. 20 to 30 us.
// Private to io/uring.
#pragma once

namespace belay::detail::uring {

/// Registers the process, once. False when the kernel or a sandbox refuses membarrier: rescue then works only for
/// owners that sleep in a system call, and for hogs at the next timer tick.
bool enable_kick() noexcept;
void kick() noexcept;

}  // namespace belay::detail::uring
