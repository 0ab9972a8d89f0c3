// reports blocking-call
// needs guard
// policy stall=off
// A stop unwinds the frames of a task by their destructors, and one of these waits for a disk to come to rest.
#include <belay/belay.hpp>

#include <unistd.h>

#include <chrono>

namespace {

class backup_disk {
public:
    backup_disk() = default;
    backup_disk(const backup_disk&) = delete;
    backup_disk& operator=(const backup_disk&) = delete;
    ~backup_disk() { ::usleep(10'000); }
};

belay::task<> back_up() {
    backup_disk disk;
    co_await belay::sleep_for(std::chrono::hours{1});
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        s.spawn(back_up);  // <- here
        co_await belay::yield();
        s.request_stop();
    }));
    return 0;
}
