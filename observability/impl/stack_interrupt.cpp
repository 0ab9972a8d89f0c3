// The native stack of a thread that computes: one real-time signal, caught by the thread itself.
//
//            watchdog                      handler
//   idle ------------> armed ------------------------> walking ------> done ------> idle (watchdog)
//                        | patience over: the signal may still come, so handler and state stay
//                        v
//                      late ----------------------------------------> idle (handler)
#include <belay/observability/impl/machine.hpp>
#include <belay/observability/impl/native_stack.hpp>
#include <belay/observability/impl/thread_proc.hpp>

#include <execinfo.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <utility>

namespace belay::detail {
namespace {

enum class shot : int { idle, armed, walking, done, late };

// Static, because a signal handler has no argument, and because it may come after the capture gave up.
struct capture_state {
    std::atomic<shot> now{shot::idle};
    std::atomic<int> target{0};
    sem_t finished{};
    pid_t process = 0;  // which it is of
    std::array<void*, native_stack::max_frames + 8> raw{};
    int raw_depth = 0;
    registers at;
    native_stack by_frame_pointer;
    bool unwinding = false;
};
constinit capture_state state{};

void walk_here(const ucontext_t& context) noexcept {
    state.at = registers_of(context);
    state.raw_depth = 0;
    state.by_frame_pointer = {};
    // The unwinder is not reentrant: while an exception is in flight the stack is followed by frame pointers.
    state.unwinding = std::uncaught_exceptions() > 0;
    if (!state.unwinding) {
        state.raw_depth = ::backtrace(state.raw.data(), static_cast<int>(state.raw.size()));
        return;
    }
    state.by_frame_pointer.add(state.at.pc);
    follow_frame_pointers(state.by_frame_pointer, state.at.sp - 1, state.at.fp);
}

extern "C" void belay_on_stack_signal(int, siginfo_t*, void* context) {
    int saved = errno;
    if (state.target.load(std::memory_order_acquire) == static_cast<int>(::syscall(SYS_gettid))) {
        auto expected = shot::armed;
        if (state.now.compare_exchange_strong(expected, shot::walking, std::memory_order_acq_rel)) {
            walk_here(*static_cast<const ucontext_t*>(context));
            state.now.store(shot::done, std::memory_order_release);  // pairs with the watchdog's acquire below
            ::sem_post(&state.finished);
        } else if (expected == shot::late) {
            state.now.store(shot::idle, std::memory_order_release);
        }
    }
    errno = saved;
}

bool is_ours(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == belay_on_stack_signal;
}

// A signal that nobody uses, or that still has our handler because an answer came late. The highest ones: programs number
// theirs from SIGRTMIN.
int free_signal() noexcept {
    for (int signal = SIGRTMAX - 1; signal > SIGRTMIN; --signal) {
        struct sigaction current{};
        if (::sigaction(signal, nullptr, &current) != 0) continue;
        if (is_ours(current) || ((current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_DFL)) return signal;
    }
    return 0;
}

class installed_handler {
public:
    explicit installed_handler(int signal) noexcept : signal_{signal} {
        struct sigaction ours{};
        ours.sa_sigaction = belay_on_stack_signal;
        // Not on the thread's alternative stack: that may be smaller than what backtrace() needs.
        ours.sa_flags = SA_SIGINFO | SA_RESTART;
        ::sigfillset(&ours.sa_mask);
        ::sigdelset(&ours.sa_mask, SIGSYS);  // where system calls are dispatched, its own come back as that signal
        installed_ = ::sigaction(signal_, &ours, nullptr) == 0;
    }
    installed_handler(const installed_handler&) = delete;
    installed_handler& operator=(const installed_handler&) = delete;
    [[nodiscard]] bool ok() const noexcept { return installed_; }
    /// Only when no signal is on its way: the default action of a real-time signal ends the process.
    void restore() noexcept {
        struct sigaction current{};
        if (::sigaction(signal_, nullptr, &current) != 0 || !is_ours(current)) return;  // the host has taken it meanwhile
        struct sigaction none{};
        none.sa_handler = SIG_DFL;
        ::sigaction(signal_, &none, nullptr);
    }

private:
    int signal_;
    bool installed_ = false;
};

// A handler that has not returned yet, ours of the last capture for one, ends soon; a thread that masks signals stays so.
bool stays_blocked(int tid, int signal, std::chrono::milliseconds patience) noexcept {
    auto until = std::chrono::steady_clock::now() + patience;
    while (blocks_signal(tid, signal)) {
        if (std::chrono::steady_clock::now() >= until) return true;
        ::sched_yield();
    }
    return false;
}

bool wait_finished(std::chrono::milliseconds patience) noexcept {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    auto ns = until.tv_nsec + std::chrono::nanoseconds{patience}.count();
    until.tv_sec += ns / 1'000'000'000;
    until.tv_nsec = ns % 1'000'000'000;
    while (::sem_timedwait(&state.finished, &until) != 0)
        if (errno != EINTR) return false;
    return true;
}

// backtrace() also sees the handler and the signal's trampoline: the stack begins where the thread was interrupted.
void collect(native_stack& result) noexcept {
    if (state.unwinding) {
        result = state.by_frame_pointer;
        return;
    }
    int first = 0;
    for (int i = 0; i < state.raw_depth; ++i)
        if (reinterpret_cast<std::uint64_t>(state.raw[static_cast<std::size_t>(i)]) == state.at.pc) first = i;
    for (int i = first; i < state.raw_depth; ++i) {
        auto address = reinterpret_cast<std::uint64_t>(state.raw[static_cast<std::size_t>(i)]);
        result.add(i == first ? address : address - 1);
    }
}

/// One capture at a time in a process. No mutex, which a child of fork() could have locked for ever: what is left of a capture of the
/// parent's is nothing to it.
class turn {
public:
    turn() noexcept {
        const pid_t self = ::getpid();
        // acquire, pairs with the release below.
        for (pid_t holder = 0; !taken_by_.compare_exchange_weak(holder, self, std::memory_order_acquire);) {
            if (holder == self) wait_a_little();
            if (holder == self) holder = 0;
        }
        if (std::exchange(state.process, self) != self) prepare();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() { taken_by_.store(0, std::memory_order_release); }

private:
    static void wait_a_little() noexcept {
        timespec time{.tv_sec = 0, .tv_nsec = 200'000};
        ::nanosleep(&time, nullptr);
    }
    static void prepare() noexcept {
        std::array<void*, 4> ignored{};
        ::backtrace(ignored.data(),
                    static_cast<int>(ignored.size()));  // its first call loads a library, which must not happen in the handler
        ::sem_init(&state.finished, 0, 0);
        state.now.store(shot::idle, std::memory_order_relaxed);
    }
    static constinit std::atomic<pid_t> taken_by_;
};
constinit std::atomic<pid_t> turn::taken_by_{0};

native_stack failed(const char* why) noexcept {
    native_stack result;
    result.problem = why;
    return result;
}

}  // namespace

native_stack interrupt_and_walk(int tid, std::chrono::milliseconds patience) noexcept {
    turn mine;
    auto over = shot::done;  // of a walk that took longer than anybody waited
    state.now.compare_exchange_strong(over, shot::idle, std::memory_order_acq_rel);
    if (state.now.load(std::memory_order_acquire) != shot::idle) return failed("an earlier request has not been answered yet");
    while (::sem_trywait(&state.finished) == 0) {}
    int signal = free_signal();
    if (signal == 0) return failed("the program uses every real-time signal");
    if (stays_blocked(tid, signal, patience)) return failed("the worker's thread blocks real-time signals");

    installed_handler handler{signal};
    if (!handler.ok()) return failed("no signal handler could be installed");
    state.target.store(tid, std::memory_order_relaxed);
    state.now.store(shot::armed, std::memory_order_release);  // pairs with the handler's compare-exchange
    if (::syscall(SYS_tgkill, ::getpid(), tid, signal) != 0) {
        state.now.store(shot::idle, std::memory_order_relaxed);
        handler.restore();
        return failed("the worker's thread has ended");
    }
    if (!wait_finished(patience)) {
        auto expected = shot::armed;
        if (state.now.compare_exchange_strong(expected, shot::late, std::memory_order_acq_rel))
            return failed("the worker did not get a CPU in time");
        wait_finished(std::chrono::seconds{1});  // it is walking right now
        if (state.now.load(std::memory_order_acquire) != shot::done) return failed("walking the stack took too long");
    }
    native_stack result;
    collect(result);
    state.now.store(shot::idle, std::memory_order_relaxed);
    handler.restore();
    return result;
}

}  // namespace belay::detail
