// reports blocking-call
// needs guard
// policy stall=off
// std::async does the work on another thread, and get() waits for it on this one.
#include <belay/belay.hpp>

#include <chrono>
#include <future>
#include <string>
#include <thread>

namespace {

std::string render() {
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    return "<svg/>";
}

belay::task<std::string> chart() { co_return std::async(std::launch::async, render).get(); }

belay::task<std::string> page() {
    co_return "<html>" + co_await chart();  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(page);
    return 0;
}
