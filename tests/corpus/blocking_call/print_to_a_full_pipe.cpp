// reports blocking-call
// policy stall=off,block=log:syscalls
// A progress bar is printed to a pipe whose reader is slow. The C library writes it out without a call that could be seen.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

namespace {

std::atomic<bool> asked{false};

void show_progress(std::FILE* to, int percent) {
    asked = true;
    std::fprintf(to, "%3d %%\n", percent);
    std::fflush(to);
}

belay::task<> convert(std::FILE* progress) {
    show_progress(progress, 50);
    co_return;
}

belay::task<> convert_all(std::FILE* progress) {
    co_await convert(progress);  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return 1;
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    const std::string page(4096, '.');
    while (::write(ends[1], page.data(), page.size()) > 0) {}
    ::fcntl(ends[1], F_SETFL, 0);
    std::FILE* progress = ::fdopen(ends[1], "w");
    if (progress == nullptr) return 1;
    {
        std::jthread reader{[&] {
            std::array<char, 65536> lines{};
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            (void)!::read(ends[0], lines.data(), lines.size());
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(convert_all(progress));
    }
    std::fclose(progress);
    ::close(ends[0]);
    return 0;
}
