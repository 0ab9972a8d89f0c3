// reports cleanup-overrun
// The cleanup waits for an acknowledgement that never comes, until its grace is over. Nothing has been cleaned up then.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> use(belay::event&) { co_await belay::yield(); }

belay::task<> session(belay::event& acknowledged) {
    auto close = [&]() -> belay::task<> { co_await acknowledged.wait(); };
    co_await belay::finally(use(acknowledged), close, std::chrono::milliseconds{10});  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    belay::event acknowledged;
    runtime.block_on(session(acknowledged));
    return 0;
}
