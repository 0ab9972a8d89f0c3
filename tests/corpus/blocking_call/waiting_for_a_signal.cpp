// reports blocking-call
// needs guard
// policy stall=off
// The end of the program is awaited with sigtimedwait() in a task of its own, which takes a worker of its own.
#include <belay/belay.hpp>

#include <signal.h>
#include <time.h>

namespace {

bool asked_to_end() {
    sigset_t ends{};
    ::sigemptyset(&ends);
    ::sigaddset(&ends, SIGTERM);
    timespec limit{0, 10'000'000};
    return ::sigtimedwait(&ends, nullptr, &limit) == SIGTERM;
}

belay::task<> watch_for_the_end() {
    for (int looks = 0; looks < 2 && !asked_to_end(); ++looks) {}
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        s.spawn(watch_for_the_end);  // <- here
        co_return;
    }));
    return 0;
}
