// reports blocking-call
// policy stall=off,block=log:syscalls
// A library that does without the C library waits for its descriptor by a system call of its own.
#include <belay/belay.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> asked{false};

long read_one(int fd, char* to) {
    asked = true;
    long result = 0;
    asm volatile("syscall" : "=a"(result) : "a"(SYS_read), "D"(static_cast<long>(fd)), "S"(to), "d"(1L) : "rcx", "r11", "memory");
    return result;
}

belay::task<bool> is_granted(int answers) {
    char answer = 0;
    co_return read_one(answers, &answer) == 1 && answer == 'y';
}

belay::task<> ask(int answers) {
    (void)co_await is_granted(answers);  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return 1;
    {
        std::jthread user{[&] {
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            (void)!::write(ends[1], "y", 1);
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(ask(ends[0]));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
