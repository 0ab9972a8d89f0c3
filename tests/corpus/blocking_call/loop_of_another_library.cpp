// reports blocking-call
// needs guard
// policy stall=off
// A task turns the event loop of another library, which waits in epoll_wait() for what does not come.
#include <belay/belay.hpp>

#include <sys/epoll.h>
#include <unistd.h>

#include <array>

namespace {

class event_loop {
public:
    void run_once(int timeout_ms) const {
        std::array<epoll_event, 8> events{};
        (void)::epoll_wait(fd_, events.data(), static_cast<int>(events.size()), timeout_ms);
    }
    event_loop() = default;
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    ~event_loop() { ::close(fd_); }

private:
    int fd_ = ::epoll_create1(EPOLL_CLOEXEC);
};

belay::task<> pump() {
    event_loop loop;
    for (int turn = 0; turn < 3; ++turn) {
        loop.run_once(5);
        co_await belay::yield();
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> belay::task<> {
        co_await belay::when_all(pump(), belay::yield());  // <- here
    });
    return 0;
}
