// reports blocking-call
// needs guard
// policy stall=off
// A queue with a condition variable, from the time when its consumer was a thread.
#include <belay/belay.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace {

class job_queue {
public:
    bool pop(int& job) {
        std::unique_lock lock{mutex_};
        if (!filled_.wait_for(lock, std::chrono::milliseconds{10}, [&] { return !jobs_.empty(); })) return false;
        job = jobs_.front();
        jobs_.pop_front();
        return true;
    }

private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<int> jobs_;
};

belay::task<int> drain(job_queue& queue) {
    int done = 0;
    co_await belay::yield();  // <- here
    for (int job = 0; queue.pop(job);) ++done;
    co_return done;
}

}  // namespace

int main() {
    job_queue queue;
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(drain(queue));
    return 0;
}
