// A program of ours as a child: what it prints can be waited for, and it never outlives the test.
//
//     child_process server{"kv_server", {"--port", "0"}};
//     std::string line = server.wait_for_line("listening on ");
//     server.signal(SIGTERM);
//     EXPECT_EQ(server.wait(), 0) << server.output();
#pragma once

#include <belay/io/descriptor.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace belay::test {

struct child_options {
    rlim_t descriptors = 0;  // RLIMIT_NOFILE; 0: as ours
};

class child_process {
public:
    // `program` is the name of an example.
    child_process(const std::string& program, std::vector<std::string> arguments, child_options options = {}) {
        const char* directory = std::getenv("BELAY_EXAMPLES_DIR");
        if (directory == nullptr) throw std::runtime_error("BELAY_EXAMPLES_DIR is not set; run the test with ctest");
        arguments.insert(arguments.begin(), std::string(directory) + "/" + program);
        std::vector<char*> argv;
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);

        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
        io::descriptor printed{ends[1]};
        printed_ = io::descriptor{ends[0]};
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
        if (pid_ == 0) become(argv.data(), printed.native_handle(), parent, options);
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;
    ~child_process() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    // The next line (without its end) that contains `part`. Throws with all that was printed if the program ends before that.
    std::string wait_for_line(std::string_view part) {
        for (;;) {
            const std::size_t end = output_.find('\n', seen_);
            if (end != std::string::npos) {
                std::string line = output_.substr(seen_, end - seen_);
                seen_ = end + 1;
                if (line.find(part) != std::string::npos) return line;
            } else if (!read_more()) {
                throw std::runtime_error("the program ended and never said '" + std::string(part) + "':\n" + output_);
            }
        }
    }

    void signal(int number) const { ::kill(pid_, number); }

    // Waits until it has ended: its exit status, or 128 + the signal that ended it.
    int wait() {
        while (read_more()) {}
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] bool running() const noexcept { return pid_ > 0; }
    // What was read of its standard output and error so far.
    [[nodiscard]] const std::string& output() const noexcept { return output_; }

    // "VmHWM", the most memory that it ever had, or another line of /proc/PID/status in kB.
    [[nodiscard]] std::size_t kilobytes(std::string_view what) const {
        std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with(what)) return std::strtoull(line.c_str() + what.size() + 1, nullptr, 10);
        }
        throw std::runtime_error("no " + std::string(what) + " in /proc/PID/status");
    }

private:
    [[noreturn]] static void become(char* const* argv, int printed, pid_t parent, const child_options& options) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(126);  // it died before we asked
        if (options.descriptors > 0) {
            const rlimit limit{options.descriptors, options.descriptors};
            ::setrlimit(RLIMIT_NOFILE, &limit);
        }
        ::dup2(printed, STDOUT_FILENO);
        ::dup2(printed, STDERR_FILENO);
        ::execv(argv[0], argv);
        ::_exit(127);
    }

    bool read_more() {
        std::array<char, 4096> buffer;
        for (;;) {
            const ssize_t n = ::read(printed_.native_handle(), buffer.data(), buffer.size());
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            output_.append(buffer.data(), static_cast<std::size_t>(n));
            return true;
        }
    }

    pid_t pid_ = -1;
    io::descriptor printed_;
    std::string output_;
    std::size_t seen_ = 0;
};

}  // namespace belay::test
