// reports blocking-call
// needs guard
// policy stall=off
// In a local_runtime the thread that sleeps is the host's: its window does not answer.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<int> load_document() {
    std::this_thread::sleep_for(std::chrono::milliseconds{15});
    co_return 42;
}

}  // namespace

int main() {
    belay::local_runtime window;
    auto loading = window.spawn(load_document);  // <- here
    while (!loading.ended()) window.poll();
    return 0;
}
