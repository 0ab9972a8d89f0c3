// What of the guardrails works in this process.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/guard_attach.hpp>
#include <belay/observability/impl/self_test.hpp>
#include <belay/observability/impl/syscall_dispatch.hpp>
#include <belay/observability/impl/thread_proc.hpp>
#include <belay/runtime/detail/read_memory.hpp>
#include <belay/runtime/detail/standstill.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace belay {
namespace {

bool reads_own_memory() noexcept {
    int source = 1;
    int target = 0;
    return detail::read_memory(&source, &target, sizeof target);
}

bool readable(int tid, const char* file) noexcept {
    detail::proc_text text;
    detail::read_task_file(tid, file, text);
    return text.size != 0;
}

/// Two lists in one sentence: what works, and what does not, with the reason.
struct capabilities {
    void add(bool works, const char* what, const char* otherwise) {
        std::string& list = works ? live : missing;
        list.append(list.empty() ? "" : ", ").append(what);
        if (!works) list.append(" (").append(otherwise).append(")");
    }
    std::string live;
    std::string missing;
};

}  // namespace

std::string guardrails::self_test() {
    auto tid = static_cast<int>(::syscall(SYS_gettid));
    capabilities found;
    found.add(detail::read_times(tid).valid, "stalls told apart by CPU time", "/proc/self/task cannot be read: is it mounted?");
    found.add(readable(tid, "schedstat"), "a host without CPU told apart",
              "no /proc/self/task/*/schedstat: the kernel has no CONFIG_SCHED_INFO");
    found.add(readable(tid, "syscall"), "the system call and stack of a sleeper",
              "/proc/self/task/*/syscall cannot be read: hidepid, or a kernel without CONFIG_HAVE_ARCH_TRACEHOOK");
    found.add(reads_own_memory(), "stacks read from outside", "process_vm_readv is forbidden: seccomp?");
    found.add(detail::standstill::possible(), "the search for deadlocks",
              "membarrier is forbidden: seccomp, or a kernel before 4.14");
    found.add(detail::guard_is_attached(), "locks and blocking calls of the C library",
              "belay::guard is neither linked nor preloaded");
    if (detail::syscall_dispatch::wanted()) {
        const char* untrappable = detail::syscall_dispatch::missing();
        found.add(untrappable == nullptr, "the system calls of tasks (block=log:syscalls)", untrappable);
    }
    if (detail::is_traced()) found.add(false, "reports of stalls", "a debugger is attached");
    std::string line = "live: " + (found.live.empty() ? "nothing" : found.live);
    if (!found.missing.empty()) line += "; missing: " + found.missing;
    return line;
}

namespace detail {

void announce_once() {
    static const bool announced = [] {
        if (std::getenv("BELAY_GUARDRAILS") == nullptr) return true;
        std::string line = "belay: BELAY_GUARDRAILS is set; " + guardrails::self_test() + "\n";
        static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
        return true;
    }();
    static_cast<void>(announced);
}

}  // namespace detail
}  // namespace belay
