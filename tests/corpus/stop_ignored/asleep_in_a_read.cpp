// reports stop-ignored
// policy stall=off,block=off,stop=log:20ms
// A stop wakes what waits for belay, and not a thread that sleeps in read().
#include <belay/belay.hpp>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <chrono>

namespace {

belay::task<> listen(int socket) {
    char byte = 0;
    (void)!::read(socket, &byte, 1);
    co_return;
}

belay::task<> serve(belay::scope& s, int socket) {
    s.spawn(listen, socket);  // <- here
    co_await belay::sleep_for(std::chrono::milliseconds{60});
    s.request_stop();
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return 1;
    timeval limit{0, 600'000};
    ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    {
        belay::runtime runtime{{.workers = 2}};
        auto program = [&](belay::scope& s) { return serve(s, ends[0]); };
        runtime.block_on(belay::with_scope({.name = "connections"}, program));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
