// How the driver is chosen, what is said when io_uring cannot be had, and what a forked child is told.
#include "uring_port_kit.hpp"

#include <belay/io/uring/setup_error.hpp>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <system_error>

namespace belay::testing {
namespace {

/// BELAY_IO for the time of a test; the suite itself may run under either driver.
class chosen {
public:
    explicit chosen(const char* value) {
        if (const char* before = std::getenv("BELAY_IO")) before_ = before;
        ::setenv("BELAY_IO", value, 1);
    }
    chosen(const chosen&) = delete;
    chosen& operator=(const chosen&) = delete;
    ~chosen() { before_.empty() ? ::unsetenv("BELAY_IO") : ::setenv("BELAY_IO", before_.c_str(), 1); }

private:
    std::string before_;
};

std::string error_of(const driver_options& options) {
    try {
        static_cast<void>(make_driver(options));
    } catch (const std::system_error& e) {
        return e.what();
    }
    return "nothing was thrown";
}

/// What Docker's default seccomp profile does.
bool forbid_io_uring() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog filter{.len = 4, .filter = program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// Runs the check in a child process, which may restrict itself.
template <class F>
bool holds_in_child(F check) {
    pid_t child = ::fork();
    if (child == 0) ::_exit(check() ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(MakeDriver, TakesTheOneThatTheEnvironmentNames) {
    {
        chosen by("uring");
        auto made = make_driver({});
        EXPECT_EQ(made->name(), "uring");
        EXPECT_NE(made->reason().find("BELAY_IO=uring"), std::string_view::npos) << made->reason();
    }
    chosen by("asio");
    auto made = make_driver({});
    EXPECT_EQ(made->name(), "asio");
    EXPECT_NE(made->reason().find("BELAY_IO=asio"), std::string_view::npos) << made->reason();
}

TEST(MakeDriver, TheProgramsOwnChoiceComesBeforeTheEnvironment) {
    chosen by("asio");
    EXPECT_EQ(make_driver({.backend = io_backend::uring})->name(), "uring");
}

TEST(MakeDriver, AutomaticTakesIoUringWhereItWorks) {
    chosen by("auto");
    EXPECT_EQ(make_driver({})->name(), "uring");
}

TEST(MakeDriver, AnUnknownNameIsRefusedWithTheAllowedOnes) {
    chosen by("epoll");
    auto said = error_of({});
    EXPECT_NE(said.find("BELAY_IO is 'epoll', but must be auto, uring or asio"), std::string::npos) << said;
}

TEST(MakeDriver, FallsBackToAsioWhereAPolicyForbidsIoUringAndSaysHowToAllowIt) {
    EXPECT_TRUE(holds_in_child([] {
        chosen by("auto");
        if (!forbid_io_uring()) return false;
        auto made = make_driver({});
        auto reason = made->reason();
        return made->name() == "asio" && reason.find("EPERM") != reason.npos && reason.find("seccomp") != reason.npos;
    }));
}

TEST(MakeDriver, DoesNotFallBackFromADriverThatWasAskedFor) {
    EXPECT_TRUE(holds_in_child([] {
        chosen by("uring");
        return forbid_io_uring() && error_of({}).find("EPERM") != std::string::npos;
    }));
}

TEST(MakeDriver, GivesEveryWorkerItsPort) {
    auto made = make_driver({.backend = io_backend::uring, .workers = 2});
    for (unsigned worker = 0; worker < 3; ++worker) {  // one more than was announced
        auto port = made->make_port(worker);
        port->bind_owner();
        port->wake();
        port->wait(in(30s));
        EXPECT_EQ(port->in_flight(), 0u);
    }
}

TEST(UringSetup, EveryFailureNamesItsRemedy) {
    for (int error : {ENOSYS, EPERM, ENOMEM, EMFILE, EINVAL})
        EXPECT_NE(detail::uring::explain_setup_error(error).find("Remedy"), std::string::npos) << error;
    EXPECT_NE(detail::uring::explain_setup_error(ENOMEM).find("ulimit -l"), std::string::npos);
}

TEST(UringPort, AForkedChildIsToldWhatIsWrong) {
    auto port = make_port();
    test_op op(nop());
    int text[2];
    ASSERT_EQ(::pipe(text), 0);
    pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        ::dup2(text[1], STDERR_FILENO);
        port->submit(op);
        ::_exit(0);
    }
    ::close(text[1]);
    std::array<char, 512> said{};
    EXPECT_GT(::read(text[0], said.data(), said.size()), 0);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT_NE(std::string_view(said.data()).find("forked child"), std::string_view::npos) << said.data();
    ::close(text[0]);
    EXPECT_EQ(run(*port, op), 0);
}

// The remedy that the text above names.
TEST(UringPort, AForkedChildMayMakeAPortOfItsOwn) {
    auto port = make_port();
    test_op op(nop());
    EXPECT_EQ(run(*port, op), 0);
    EXPECT_TRUE(holds_in_child([] {
        auto own = make_port();
        test_op its(nop());
        return run(*own, its) == 0;
    }));
    test_op again(nop());
    EXPECT_EQ(run(*port, again), 0);
}

}  // namespace
}  // namespace belay::testing
