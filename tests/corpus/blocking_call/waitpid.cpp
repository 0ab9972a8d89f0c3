// reports blocking-call
// needs guard
// policy stall=off
// A task starts a program and waits for its end.
#include <belay/belay.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace {

int run(const char* program, const char* argument) {
    std::array<char*, 3> arguments{const_cast<char*>(program), const_cast<char*>(argument), nullptr};
    pid_t child = 0;
    if (::posix_spawnp(&child, program, nullptr, nullptr, arguments.data(), environ) != 0) return -1;
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

belay::task<int> convert_image() { co_return run("sleep", "0.02"); }

belay::task<> upload() {
    co_await convert_image();  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(upload);
    return 0;
}
