#include <belay/tests/kit/run_guard.hpp>

#include <belay/observability/impl/thread_proc.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

// There if a sanitizer is.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace belay::kit::detail {
namespace {

// Relaxed, all of them: whoever is told of them only reads numbers.
std::atomic<std::uint64_t> seed_of_run{0};
std::atomic<std::size_t> place_of_run{0};
std::atomic<std::uint64_t> progress{0};

/// In a signal handler.
void tell() {
    char line[200];
    const auto seed = static_cast<unsigned long long>(seed_of_run.load(std::memory_order_relaxed));
    const std::size_t place = place_of_run.load(std::memory_order_relaxed);
    int n = place == 0 ? std::snprintf(line, sizeof line,
                                       "belay: explore: this run ended the process; repeat it with BELAY_SEED=%llu\n", seed)
                       : std::snprintf(line, sizeof line,
                                       "belay: this run ended the process; repeat it with BELAY_SEED=%llu BELAY_PLACE=%zu\n",
                                       seed, place);
    static_cast<void>(!::write(STDERR_FILENO, line, static_cast<std::size_t>(n)));
}

/// Unless their flags say otherwise. Then they call back, too.
bool reported_by_sanitizers(int signal) noexcept { return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE; }

}  // namespace

run_guard::run_guard(std::chrono::seconds step_limit) {
    check(step_limit);
    watch_ = std::thread{[this, step_limit] { watch(step_limit); }};  // first: it may fail
    stack_t stack{};
    if (::sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE) != 0) {  // for a stack that has overflowed
        own_stack_ = std::make_unique<std::byte[]>(stack_bytes);
        stack = {.ss_sp = own_stack_.get(), .ss_flags = 0, .ss_size = stack_bytes};
        ::sigaltstack(&stack, nullptr);
    }
    struct sigaction own{};
    own.sa_sigaction = [](int signal, siginfo_t* info, void*) {
        tell();
        bool was_sent = info->si_code <= 0;  // by raise(), abort(), kill()
        if (was_sent || signal == SIGTRAP) ::raise(signal);
    };
    own.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK | SA_SIGINFO;
    for (std::size_t i = 0; i < signals.size(); ++i) {
        bool theirs = __sanitizer_set_death_callback != nullptr && reported_by_sanitizers(signals[i]);
        ::sigaction(signals[i], theirs ? nullptr : &own, &before_[i]);
    }
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(&tell);
}

void run_guard::check(std::chrono::seconds step_limit) {
    if (step_limit.count() < 1) throw std::invalid_argument{"belay: explore_options.step_limit must be at least a second"};
}

run_guard::~run_guard() {
    {
        std::scoped_lock guard(lock_);
        done_ = true;
    }
    changed_.notify_all();
    watch_.join();
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(nullptr);
    if (own_stack_ == nullptr) return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
}

void run_guard::begins(std::uint64_t seed, std::size_t place) noexcept {
    seed_of_run.store(seed, std::memory_order_relaxed);
    place_of_run.store(place, std::memory_order_relaxed);
    goes_on();
}

void run_guard::goes_on() noexcept { progress.fetch_add(1, std::memory_order_relaxed); }

void run_guard::watch(std::chrono::seconds limit) {
    std::unique_lock guard(lock_);
    for (auto before = progress.load(std::memory_order_relaxed); !changed_.wait_for(guard, limit, [this] { return done_; });) {
        const auto now = progress.load(std::memory_order_relaxed);
        if (now == before && !belay::detail::is_traced()) {
            std::fprintf(
                stderr,
                "belay: a step of a simulation has not ended for %lld s (explore_options.step_limit): a task computes for "
                "ever, or blocks its thread, on which nothing else can happen meanwhile\n",
                static_cast<long long>(limit.count()));
            std::abort();
        }
        before = now;
    }
}

}  // namespace belay::kit::detail
