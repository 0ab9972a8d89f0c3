#include <belay/io/signal_set.hpp>

#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <stdexcept>
#include <string>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::signal_set;

std::atomic<int> handled{0};
void count(int) { handled.fetch_add(1, std::memory_order_relaxed); }
void count_with_info(int, siginfo_t* info, void*) {
    if (info->si_pid == ::getpid()) handled.fetch_add(1, std::memory_order_relaxed);
}

/// Installs a handler for as long as it lives.
class installed {
public:
    installed(int signal, const struct sigaction& action) : signal_{signal} { ::sigaction(signal, &action, &before_); }
    ~installed() { ::sigaction(signal_, &before_, nullptr); }
    installed(const installed&) = delete;
    installed& operator=(const installed&) = delete;

private:
    int signal_;
    struct sigaction before_{};
};

struct sigaction plain(void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    return action;
}

struct sigaction current(int signal) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    return action;
}

std::string complaint_about(int signal) {
    try {
        const signal_set set{signal};
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "no complaint";
}

TEST(SignalSet, WaitsForASignalAndSaysWhoSentIt) {
    run([]() -> task<> {
        signal_set set{SIGUSR1, SIGUSR2};
        auto send = []() -> task<> {
            co_await yield_times(20);
            ::kill(::getpid(), SIGUSR2);
        };
        auto [signal, sent] = co_await when_all(set.next(), send());
        EXPECT_EQ(signal.number, SIGUSR2);
        EXPECT_EQ(signal.name(), "SIGUSR2");
        EXPECT_EQ(signal.code, SI_USER);
        EXPECT_EQ(signal.sender, ::getpid());
        EXPECT_EQ(signal.user, ::getuid());
    });
}

TEST(SignalSet, KeepsTheOrderOfWhatArrivesWhileNobodyWaits) {
    run([]() -> task<> {
        signal_set set{SIGUSR1, SIGUSR2};
        for (const int signal : {SIGUSR1, SIGUSR2, SIGUSR2, SIGUSR1}) ::raise(signal);
        for (const int signal : {SIGUSR1, SIGUSR2, SIGUSR2, SIGUSR1}) EXPECT_EQ((co_await set.next()).number, signal);
    });
}

TEST(SignalSet, EverySetThatNamesASignalGetsIt) {
    run([]() -> task<> {
        signal_set both{SIGUSR1, SIGUSR2};
        signal_set one{SIGUSR1};
        ::raise(SIGUSR2);
        ::raise(SIGUSR1);
        EXPECT_EQ((co_await both.next()).number, SIGUSR2);
        EXPECT_EQ((co_await both.next()).number, SIGUSR1);
        EXPECT_EQ((co_await one.next()).number, SIGUSR1) << "and not the other signal before it";
    });
}

TEST(SignalSet, TheLastSetPutsBackWhatWasThereBefore) {
    const installed mine{SIGUSR1, plain(&count)};
    {
        signal_set first{SIGUSR1};
        {
            signal_set second{SIGUSR1, SIGUSR1};
            EXPECT_NE(current(SIGUSR1).sa_handler, &count);
        }
        EXPECT_NE(current(SIGUSR1).sa_handler, &count);
        signal_set moved{std::move(first)};
        first = std::move(moved);
        EXPECT_NE(current(SIGUSR1).sa_handler, &count);
    }
    EXPECT_EQ(current(SIGUSR1).sa_handler, &count);
}

TEST(SignalSet, AHandlerThatWasThereIsStillCalled) {
    run([]() -> task<> {
        struct sigaction with_info{};
        with_info.sa_sigaction = &count_with_info;
        with_info.sa_flags = SA_SIGINFO;
        const installed first{SIGUSR1, plain(&count)};
        const installed second{SIGUSR2, with_info};
        handled = 0;
        signal_set set{SIGUSR1, SIGUSR2};
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        EXPECT_EQ(handled.load(), 2);
        EXPECT_EQ((co_await set.next()).number, SIGUSR1);
        EXPECT_EQ((co_await set.next()).number, SIGUSR2);
    });
}

TEST(SignalSet, AHandlerOnTopOfOursIsLeftAlone) {
    const installed none{SIGUSR1, plain(SIG_IGN)};
    {
        signal_set set{SIGUSR1};
        ::signal(SIGUSR1, &count);
    }
    EXPECT_EQ(current(SIGUSR1).sa_handler, &count);
    ::signal(SIGUSR1, SIG_IGN);
}

TEST(SignalSet, AStoppedNextTookNoSignal) {
    run([]() -> task<> {
        signal_set set{SIGUSR1};
        int sent = 0;
        int received = 0;
        int stopped = 0;
        // A signal that is left over from before can end the wait before the rival has sent its own.
        auto send = [](int turns, int& count) -> task<> {
            co_await yield_times(turns);
            if (count < races) {
                ::raise(SIGUSR1);
                ++count;
            }
            co_await yield_times(turns % 3);
        };
        for (int round = 0; sent < races || received < sent; ++round) {
            auto won = co_await when_any(set.next(), send(round % 11, sent));
            ++(std::get<0>(won.values) ? received : stopped);
        }
        EXPECT_EQ(received, races);
        RecordProperty("stops_that_won", std::to_string(stopped));  // how many is the scheduler's choice
        auto more = co_await when_any(set.next(), yield_times(20));
        EXPECT_EQ(more.index, 1U) << "and none came twice";
    });
}

TEST(SignalSet, InAForkedChildTheSignalDoesWhatItDidBefore) {
    signal_set set{SIGUSR1};
    const pid_t child = ::fork();
    if (child == 0) {
        ::raise(SIGUSR1);
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGUSR1);
    run([&]() -> task<> {
        auto won = co_await when_any(set.next(), yield_times(50));
        EXPECT_EQ(won.index, 1U) << "the parent heard the child's signal";
    });
}

TEST(SignalSet, SignalsWhileSetsComeAndGoReachTheOneThatStays) {
    run([]() -> task<> {
        signal_set stays{SIGUSR1};
        std::atomic<bool> end{false};
        std::thread churn([&] {
            while (!end.load()) const signal_set brief{SIGUSR1, SIGUSR2};
        });
        for (int i = 0; i < 500; ++i) {
            ::raise(SIGUSR1);
            EXPECT_EQ((co_await stays.next()).number, SIGUSR1);
        }
        end = true;
        churn.join();
    });
}

TEST(SignalSet, RefusesWhatCannotBeAwaited) {
    EXPECT_TRUE(contains(complaint_about(SIGKILL), "SIGKILL cannot be caught")) << complaint_about(SIGKILL);
    EXPECT_TRUE(contains(complaint_about(SIGSTOP), "SIGSTOP cannot be caught"));
    EXPECT_TRUE(contains(complaint_about(SIGSEGV), "SIGSEGV reports an error of the program"));
    EXPECT_TRUE(contains(complaint_about(0), "0 is not a signal"));
    EXPECT_TRUE(contains(complaint_about(65), "65 is not a signal"));
    EXPECT_EQ(complaint_about(SIGRTMIN), "no complaint");
}

TEST(SignalSet, WorksAsTheEndOfAProgram) {
    run([]() -> task<> {
        auto interrupted = signal_set{SIGINT, SIGTERM};
        auto serve = [](io::tcp_listener listener) -> task<> {
            for (;;) co_await listener.accept();
        };
        ::raise(SIGTERM);
        auto won = co_await when_any(serve(io::tcp_listener::bind("127.0.0.1:0")), interrupted.next());
        EXPECT_EQ(won.index, 1U);
        EXPECT_EQ(std::get<1>(won.values)->number, SIGTERM);
    });
}

}  // namespace
}  // namespace belay::testing
