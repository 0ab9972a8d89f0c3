// Every system call of a task is seen where it is made (block=log:syscalls), for tests: those of inline assembler, of other languages
// and of the C library's own insides, which no symbol leads to.
//
// The kernel has the means, Syscall User Dispatch (Linux 5.11): a thread names a byte, and while that says "block" a system call becomes
// a SIGSYS. The handler makes the call, with the same result. It stays so from begin() to end(), which is for as long as a thread is a
// worker, and not for the length of a poll: whether a call is a task's is asked when it comes, so a runtime that does not want this pays
// for nothing, not even for a look at a flag before each poll. A call costs some 3 us more; those of the executor between two polls do, too.
#pragma once

namespace belay::detail::syscall_dispatch {

/// Why it does not work in this process; null: it does. Tries it on the calling thread, at the first call: only for whoever wants it,
/// since a sandbox may end a process that asks the kernel for what is not on its list.
const char* missing() noexcept;
/// A runtime has wanted it.
bool wanted() noexcept;
/// Once per runtime that wants it, before its threads begin. The first one installs the handler, which stays. What other handlers the
/// program has by then no longer hold SIGSYS back; those that a task installs do not, either. False: missing() says why, and so does a
/// line on standard error, once.
bool prepare() noexcept;

/// The calling thread. They may be nested: a local_runtime can be polled by a task of another runtime. Nothing happens when SIGSYS has been
/// taken by somebody else meanwhile, whose handler could not make the calls.
void begin() noexcept;
void end() noexcept;

}  // namespace belay::detail::syscall_dispatch
