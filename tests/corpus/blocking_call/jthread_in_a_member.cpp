// reports blocking-call
// needs guard
// policy stall=off
// A progress display has a std::jthread. When it goes out of scope, its destructor joins.
#include <belay/belay.hpp>

#include <chrono>
#include <stop_token>
#include <thread>

namespace {

class progress_display {
public:
    progress_display()
        : thread_{[](const std::stop_token& stop) {
              do std::this_thread::sleep_for(std::chrono::milliseconds{50});
              while (!stop.stop_requested());
          }} {}

private:
    std::jthread thread_;
};

belay::task<> copy_block(int) { co_await belay::yield(); }

belay::task<> copy_file() {
    progress_display progress;
    for (int block = 0; block < 3; ++block) co_await copy_block(block);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(copy_file);
    return 0;
}
