// reports blocking-call
// needs guard
// policy stall=off
// Fire and forget with std::async: the future's destructor waits for the thread.
#include <belay/belay.hpp>

#include <chrono>
#include <future>
#include <thread>

namespace {

void write_audit_record(int) { std::this_thread::sleep_for(std::chrono::milliseconds{50}); }

belay::task<int> handle(int request) {
    { auto in_the_background = std::async(std::launch::async, write_audit_record, request); }
    co_return 200;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        s.spawn(handle, 1);  // <- here
        co_return;
    }));
    return 0;
}
