// reports blocking-call
// needs guard
// policy stall=off
// "Is there something to read? Wait for a moment."
#include <belay/belay.hpp>

#include <poll.h>
#include <unistd.h>

#include <array>

namespace {

bool readable(int fd) {
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, 10) > 0;
}

belay::task<bool> has_news(int fd) { co_return readable(fd); }

belay::task<> watch_all(std::array<int, 2> ends) {
    for (int turn = 0; turn < 2; ++turn) (void)co_await has_news(ends[0]);  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return 1;
    {
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(watch_all(ends));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
