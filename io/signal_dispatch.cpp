// Handlers run between any two instructions of any thread, so what they read is never freed, and changed only by atomic
// stores: a list of subscribers that grows and whose entries are used again, and the previous handlers.
#include <belay/io/detail/signal_dispatch.hpp>
#include <belay/io/error.hpp>
#include <belay/io/signal_set.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace belay::io::detail {

struct signal_subscriber {
    signal_subscriber* next = nullptr;  // constant once it is in the list
    // Dekker pair, seq_cst: a handler counts itself in `readers` and then reads `pipe`; unsubscribe() takes `pipe` away and
    // then waits for `readers` to be 0. Whoever is second sees the first, so a closed pipe is never written to.
    std::atomic<unsigned> readers{0};
    std::atomic<int> pipe{-1};
    std::atomic<std::uint64_t> signals{0};  // bit n-1: wants signal n
    // A forked child inherits handlers and pipes, but its signals are not its parent's.
    std::atomic<pid_t> process{0};
    bool taken = false;  // guarded by the registry's mutex
};

namespace {

static_assert(std::atomic<signal_subscriber*>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);

constexpr int signal_count = 65;
using plain_handler = void (*)(int);
using info_handler = void (*)(int, siginfo_t*, void*);

/// What a signal did before us. At most one of the handlers is set.
struct previous_action {
    std::atomic<plain_handler> plain{nullptr};
    std::atomic<info_handler> info{nullptr};
    std::atomic<bool> ignored{false};
    struct sigaction saved{};  // guarded by the registry's mutex
    unsigned sets = 0;         // guarded likewise: how many sets want the signal
    bool installed = false;    // guarded likewise: our handler is there
};

std::mutex registry;  // serialises subscribe and unsubscribe; never taken by a handler
std::atomic<signal_subscriber*> subscribers{nullptr};
std::array<previous_action, signal_count> previous;

constexpr std::uint64_t bit_of(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

signal_info describe(int signal, const siginfo_t* info) noexcept {
    signal_info result{.number = signal, .code = info->si_code};
    if (info->si_code == SI_USER || info->si_code == SI_QUEUE || signal == SIGCHLD) {
        result.sender = info->si_pid;
        result.user = info->si_uid;
    }
    return result;
}

/// False when no set of this process wants it.
bool tell_subscribers(int signal, const siginfo_t* info) noexcept {
    const signal_info record = describe(signal, info);
    const pid_t process = ::getpid();
    bool told = false;
    // acquire, pairs with the push in free_entry(): the entry is constructed.
    for (auto* entry = subscribers.load(std::memory_order_acquire); entry != nullptr; entry = entry->next) {
        entry->readers.fetch_add(1, std::memory_order_seq_cst);
        const int pipe = entry->pipe.load(std::memory_order_seq_cst);
        // Relaxed: written before `pipe`.
        const bool wanted = (entry->signals.load(std::memory_order_relaxed) & bit_of(signal)) != 0 &&
                            entry->process.load(std::memory_order_relaxed) == process;
        if (pipe >= 0 && wanted) {
            told = true;
            // No doing of the task that the thread may be in. Elsewhere the first look at a thread-local might allocate.
            std::optional<belay::detail::own_code> mine;
            if (belay::detail::this_worker() != nullptr) mine.emplace();
            // Less than PIPE_BUF, so all of it or, when the pipe is full, nothing.
            static_cast<void>(!::write(pipe, &record, sizeof(record)));
        }
        entry->readers.fetch_sub(1, std::memory_order_seq_cst);
    }
    return told;
}

/// Nobody waits for the signal, in a forked child or after the last set died under somebody else's handler: it does what
/// it did before.
void do_default(int signal) noexcept {
    if (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT) return;  // nothing
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(signal, &standard, nullptr);
    ::raise(signal);  // delivered when this handler returns
}

void on_signal(int signal, siginfo_t* info, void* context) noexcept {
    const int saved = errno;
    const auto& before = previous[static_cast<std::size_t>(signal)];
    const bool told = tell_subscribers(signal, info);
    // acquire: pairs with remember(), which stores nothing but these.
    if (const auto handler = before.info.load(std::memory_order_acquire)) {
        handler(signal, info, context);
    } else if (const auto simple = before.plain.load(std::memory_order_acquire)) {
        simple(signal);
    } else if (!told && !before.ignored.load(std::memory_order_acquire)) {
        do_default(signal);
    }
    errno = saved;
}

bool is_ours(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &on_signal;
}

bool is_function(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

void remember(previous_action& before, const struct sigaction& action) noexcept {
    const bool with_info = (action.sa_flags & SA_SIGINFO) != 0;
    before.saved = action;
    before.ignored.store(!with_info && action.sa_handler == SIG_IGN, std::memory_order_release);
    before.plain.store(is_function(action) && !with_info ? action.sa_handler : nullptr, std::memory_order_release);
    before.info.store(with_info ? action.sa_sigaction : nullptr, std::memory_order_release);
}

// The functions below are called with the registry locked.

int install(int signal) noexcept {
    auto& before = previous[static_cast<std::size_t>(signal)];
    if (before.sets++ != 0) return 0;
    struct sigaction current{};
    if (::sigaction(signal, nullptr, &current) != 0) return errno;
    // Still there when somebody had installed a handler on top of ours, and took it away again.
    if (is_ours(current)) return 0;
    // When `installed`, a handler that is there now was put on top of ours and calls it: hooking it would be a circle.
    if (before.installed && is_function(current)) return 0;

    remember(before, current);  // first, because the handler may run as soon as it is there
    struct sigaction action{};
    action.sa_sigaction = &on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | (current.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT));
    action.sa_mask = current.sa_mask;
    if (::sigaction(signal, &action, nullptr) != 0) return errno;
    before.installed = true;
    return 0;
}

void uninstall(int signal) noexcept {
    auto& before = previous[static_cast<std::size_t>(signal)];
    if (--before.sets != 0 || !before.installed) return;
    struct sigaction current{};
    // A handler on top of ours keeps calling ours, which then only passes the signal on.
    if (::sigaction(signal, nullptr, &current) != 0 || !is_ours(current)) return;
    ::sigaction(signal, &before.saved, nullptr);
    before.installed = false;
}

signal_subscriber& free_entry() {
    for (auto* entry = subscribers.load(std::memory_order_relaxed); entry != nullptr; entry = entry->next)
        if (!entry->taken) return *entry;
    auto* fresh = new signal_subscriber;  // never freed: see the top
    fresh->next = subscribers.load(std::memory_order_relaxed);
    subscribers.store(fresh, std::memory_order_release);
    return *fresh;
}

/// Returns the pipe, which no handler uses any more.
int retire(signal_subscriber& entry) noexcept {
    const int pipe = entry.pipe.exchange(-1, std::memory_order_seq_cst);
    while (entry.readers.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    entry.taken = false;
    return pipe;
}

}  // namespace

signal_subscriber* subscribe(descriptor pipe, std::span<const int> signals) {
    const std::scoped_lock guard{registry};
    auto& entry = free_entry();
    entry.taken = true;
    std::uint64_t wanted = 0;
    for (const int signal : signals) wanted |= bit_of(signal);
    entry.signals.store(wanted, std::memory_order_relaxed);
    entry.process.store(::getpid(), std::memory_order_relaxed);
    entry.pipe.store(pipe.native_handle(), std::memory_order_seq_cst);
    for (std::size_t i = 0; i < signals.size(); ++i) {
        const int error = install(signals[i]);
        if (error == 0) continue;
        for (std::size_t done = 0; done <= i; ++done) uninstall(signals[done]);
        static_cast<void>(retire(entry));
        throw_errno(error, "signal_set: sigaction(" + std::to_string(signals[i]) + ")");
    }
    static_cast<void>(pipe.release());
    return &entry;
}

void unsubscribe(signal_subscriber& subscriber, std::span<const int> signals) noexcept {
    const std::scoped_lock guard{registry};
    for (const int signal : signals) uninstall(signal);
    descriptor{retire(subscriber)}.close();
}

}  // namespace belay::io::detail
