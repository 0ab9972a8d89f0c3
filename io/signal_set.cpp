#include <belay/io/detail/signal_dispatch.hpp>
#include <belay/io/error.hpp>
#include <belay/io/signal_set.hpp>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace belay::io {
namespace {

void refuse_what_cannot_be_awaited(int signal) {
    const auto refuse = [signal](const char* why) {
        const char* name = ::sigabbrev_np(signal);
        throw std::invalid_argument{
            "belay: signal_set: " + (name != nullptr ? "SIG" + std::string{name} : std::to_string(signal)) + " " + why};
    };
    // Between the standard ones and SIGRTMIN, glibc keeps some for itself.
    if (signal < 1 || signal > SIGRTMAX || (signal > SIGSYS && signal < SIGRTMIN)) refuse("is not a signal of this system");
    switch (signal) {
    case SIGKILL:
    case SIGSTOP: refuse("cannot be caught"); break;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL: refuse("reports an error of the program itself: going on after it would repeat it"); break;
    default: break;
    }
}

}  // namespace

std::string_view signal_info::name() const noexcept {
    // sigdescr_np and its like know only the part after "SIG".
    static constexpr std::pair<int, std::string_view> names[] = {
        {SIGHUP, "SIGHUP"},     {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGTRAP, "SIGTRAP"},     {SIGABRT, "SIGABRT"},
        {SIGUSR1, "SIGUSR1"},   {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"},
        {SIGCHLD, "SIGCHLD"},   {SIGCONT, "SIGCONT"}, {SIGTSTP, "SIGTSTP"}, {SIGTTIN, "SIGTTIN"},     {SIGTTOU, "SIGTTOU"},
        {SIGURG, "SIGURG"},     {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"},
        {SIGWINCH, "SIGWINCH"}, {SIGIO, "SIGIO"},     {SIGPWR, "SIGPWR"},   {SIGSYS, "SIGSYS"},
    };
    const auto* found =
        std::find_if(std::begin(names), std::end(names), [this](const auto& entry) { return entry.first == number; });
    return found != std::end(names) ? found->second : "a real-time signal";
}

void detail::signal_awaiter::throw_error() const { throw_errno(result < 0 ? -result : EIO, "signal_set: next"); }

signal_set::signal_set(std::span<const int> signals) : signals_{signals.begin(), signals.end()} {
    std::ranges::sort(signals_);
    signals_.erase(std::unique(signals_.begin(), signals_.end()), signals_.end());
    for (const int signal : signals_) refuse_what_cannot_be_awaited(signal);

    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) detail::throw_errno(errno, "signal_set");
    arrivals_ = descriptor{ends[0]};
    descriptor writable{ends[1]};
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);  // a handler must not wait; the reading end is another open file and may
    subscriber_ = detail::subscribe(std::move(writable), signals_);
}

signal_set::signal_set(signal_set&& other) noexcept
    : arrivals_{std::move(other.arrivals_)},
      subscriber_{std::exchange(other.subscriber_, nullptr)},
      signals_{std::move(other.signals_)} {}

signal_set& signal_set::operator=(signal_set&& other) noexcept {
    if (this == &other) return *this;
    unsubscribe();
    arrivals_ = std::move(other.arrivals_);
    subscriber_ = std::exchange(other.subscriber_, nullptr);
    signals_ = std::move(other.signals_);
    return *this;
}

signal_set::~signal_set() { unsubscribe(); }

void signal_set::unsubscribe() noexcept {
    if (subscriber_ != nullptr) detail::unsubscribe(*std::exchange(subscriber_, nullptr), signals_);
}

}  // namespace belay::io
