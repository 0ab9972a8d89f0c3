// reports blocking-call
// needs guard
// policy stall=off,block=log:any
// The critical section of the task is short. That of the thread which has the lock is not. (Here every call counts: on a machine
// without a free CPU a wait for a lock is not reported otherwise.)
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace {

std::mutex index_lock;
int documents = 0;
std::atomic<bool> held{false};
std::atomic<bool> asked{false};

void rebuild_index() {
    std::lock_guard lock{index_lock};
    held = true;
    while (!asked) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    documents = 100;
}

belay::task<int> count() {
    asked = true;
    std::lock_guard lock{index_lock};
    co_return documents;
}

belay::task<int> search() {
    co_return co_await count();  // <- here
}

}  // namespace

int main() {
    std::jthread rebuilding{rebuild_index};
    while (!held) std::this_thread::yield();
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(search);
    return 0;
}
