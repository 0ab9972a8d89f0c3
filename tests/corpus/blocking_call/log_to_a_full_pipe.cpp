// reports blocking-call
// needs guard
// policy stall=off
// Log lines go to a pipe whose reader is slow. When the pipe is full, write() waits.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

namespace {

std::atomic<bool> asked{false};

void log(int to, std::string_view line) {
    asked = true;
    (void)!::write(to, line.data(), line.size());
}

belay::task<> handle(int log_pipe) {
    log(log_pipe, std::string(8192, '.'));
    co_return;
}

belay::task<> serve(int log_pipe) {
    co_await handle(log_pipe);  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return 1;
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    const std::string page(4096, '.');
    while (::write(ends[1], page.data(), page.size()) > 0) {}
    ::fcntl(ends[1], F_SETFL, 0);
    {
        std::jthread collector{[&] {
            std::array<char, 65536> lines{};
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            (void)!::read(ends[0], lines.data(), lines.size());
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(serve(ends[1]));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
