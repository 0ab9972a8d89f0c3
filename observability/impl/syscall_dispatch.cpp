#include <belay/observability/impl/syscall_dispatch.hpp>

#include <belay/observability/impl/syscall_trap.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace belay::detail::syscall_dispatch {
namespace {

constinit std::atomic<bool> asked_for{false};  // relaxed: nothing behind it

/// Whoever reads no self_test() would take silence for a clean bill.
void say_missing(const char* why) noexcept {
    char line[256];
    int length = std::snprintf(line, sizeof line, "belay: block=log:syscalls is as block=log:any here: %s\n", why);
    if (length > 0) static_cast<void>(!::write(STDERR_FILENO, line, static_cast<std::size_t>(length)));
}

}  // namespace

bool wanted() noexcept { return asked_for.load(std::memory_order_relaxed); }

}  // namespace belay::detail::syscall_dispatch

#ifdef BELAY_NO_SYSCALL_TRAPS

namespace belay::detail::syscall_dispatch {

const char* missing() noexcept { return BELAY_NO_SYSCALL_TRAPS; }
bool prepare() noexcept {
    if (!asked_for.exchange(true, std::memory_order_relaxed)) say_missing(missing());
    return false;
}
void begin() noexcept {}
void end() noexcept {}

}  // namespace belay::detail::syscall_dispatch

#else

#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/syscall_site.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <pthread.h>
#include <sys/prctl.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace belay::detail::syscall_dispatch {
namespace {

// Of <linux/prctl.h>, which older headers do not have.
constexpr int set_user_dispatch = 59;
constexpr unsigned long dispatch_off = 0;
constexpr unsigned long dispatch_on = 1;

// The kernel lets one range of code through whatever the byte says. That is the instruction with which handlers return to what they have
// interrupted, the C library's for all of them: ours returns with the byte at "block", and a handler of the program's may return while it
// holds SIGSYS back.
struct code_range {
    std::uintptr_t first = 0;
    std::size_t size = 0;
};
// Written by prepare(), before there are threads that begin.
constinit code_range way_back{};
constinit void (*our_handler)(int) = nullptr;  // as the kernel has it: a sanitizer may have put its own around it

bool switch_on(const code_range& let_through) noexcept {
    return ::prctl(set_user_dispatch, dispatch_on, let_through.first, let_through.size, &belay_syscall_selector) == 0;
}
void switch_off() noexcept { ::prctl(set_user_dispatch, dispatch_off, 0UL, 0UL, 0UL); }

constexpr const char* taken = "the program handles or ignores SIGSYS itself";

bool has_handler(void (*wanted)(int)) noexcept {
    kernel_sigaction now{};
    return kernel_action(SIGSYS, nullptr, &now) == 0 && now.handler == wanted;
}
const char* look() noexcept {
    // Its own calls would be trapped with the program's: there is one kernel thread for both.
    const char* preload = std::getenv("LD_PRELOAD");
    if (preload != nullptr && std::string_view{preload}.find("vgpreload") != std::string_view::npos)
        return "Valgrind runs the program";
    if (!has_handler(SIG_DFL)) return taken;
    belay_syscall_selector = selector_allow;
    if (!switch_on({})) return "no Syscall User Dispatch: a kernel before 5.11, a sandbox, or seccomp";
    switch_off();
    return nullptr;
}

/// mov $15, %rax (or %eax); syscall. The range ends behind the instruction after it, since the kernel looks at where the call returns to.
code_range find_way_back(const kernel_sigaction& ours) noexcept {
    constexpr unsigned char with_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    constexpr unsigned char with_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
    const auto* code = reinterpret_cast<const unsigned char*>(ours.restorer);
    auto first = reinterpret_cast<std::uintptr_t>(ours.restorer);
    if (code == nullptr) return {};
    if (std::memcmp(code, with_rax, sizeof with_rax) == 0) return {first, sizeof with_rax + 1};
    if (std::memcmp(code, with_eax, sizeof with_eax) == 0) return {first, sizeof with_eax + 1};
    return {};
}

/// Null, or why it failed.
const char* install() noexcept {
    if (!has_handler(SIG_DFL)) return taken;  // since somebody looked
    struct sigaction ours{};
    ours.sa_sigaction = on_trapped_syscall;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    ::sigemptyset(&ours.sa_mask);
    struct sigaction before{};
    kernel_sigaction installed{};
    if (::sigaction(SIGSYS, &ours, &before) != 0 || kernel_action(SIGSYS, nullptr, &installed) != 0)
        return "no handler for SIGSYS could be installed";
    way_back = find_way_back(installed);
    if (way_back.size == 0) {
        ::sigaction(SIGSYS, &before, nullptr);
        return "the C library returns from signal handlers in a way that is not known";
    }
    our_handler = installed.handler;
    prepare_syscall_sites(way_back.first);
    return nullptr;
}

const char* looked() noexcept {
    static const char* const problem = look();
    return problem;
}

// What install() said. Relaxed: a pointer to a constant text, and nothing behind it.
constinit std::atomic<const char*> not_installed{nullptr};

struct this_thread_state {
    unsigned depth = 0;
    bool held_back = false;  // SIGSYS, before the outermost begin()
    bool on = false;
};
constinit thread_local this_thread_state mine{};

sigset_t sigsys_alone() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGSYS);
    return set;
}

}  // namespace

const char* missing() noexcept {
    const char* problem = not_installed.load(std::memory_order_relaxed);
    return problem != nullptr ? problem : looked();
}

bool prepare() noexcept {
    static const bool ready = [] {
        asked_for.store(true, std::memory_order_relaxed);
        if (looked() == nullptr) not_installed.store(install(), std::memory_order_relaxed);
        const char* problem = missing();
        if (problem != nullptr) say_missing(problem);
        return problem == nullptr;
    }();
    for (int signal = 1; ready && signal < _NSIG; ++signal) let_sigsys_through(signal);
    return ready;
}

void begin() noexcept {
    // Thread-locals that the handler asks for: the first access may allocate, and a call can be trapped inside of malloc.
    (void)this_thread_guards();
    (void)this_thread_is_allowed();
    const sigset_t sigsys = sigsys_alone();
    sigset_t before;
    ::pthread_sigmask(SIG_UNBLOCK, &sigsys, &before);
    if (mine.depth++ == 0) mine.held_back = ::sigismember(&before, SIGSYS) == 1;
    // Also when it is on: a child of fork() has the depth of its parent's thread, and not what the kernel knew of it.
    if (!has_handler(our_handler) || !switch_on(way_back)) return;
    mine.on = true;
    belay_syscall_selector = selector_block;
}

void end() noexcept {
    if (--mine.depth != 0) return;
    if (std::exchange(mine.on, false)) {
        belay_syscall_selector = selector_allow;
        switch_off();
    }
    if (!mine.held_back) return;
    const sigset_t sigsys = sigsys_alone();
    ::pthread_sigmask(SIG_BLOCK, &sigsys, nullptr);
}

}  // namespace belay::detail::syscall_dispatch

#endif
