// reports blocking-call
// needs guard
// policy stall=off
// The work was moved to threads, to keep the worker free, and is waited for with join().
#include <belay/belay.hpp>

#include <chrono>
#include <thread>
#include <vector>

namespace {

void import_part(int) { std::this_thread::sleep_for(std::chrono::milliseconds{50}); }

void import_all() {
    std::vector<std::thread> threads;
    for (int part = 0; part < 3; ++part) threads.emplace_back(import_part, part);
    for (auto& thread : threads) thread.join();
}

belay::task<> import_file() {
    import_all();
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> belay::task<> {
        co_await import_file();  // <- here
    });
    return 0;
}
