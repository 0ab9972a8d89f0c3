// reports deadlock
// policy deadlock=log:20ms
// also lock-order
// A function that locks calls another one that locks the same mutex.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

struct account {
    belay::mutex lock;
    long balance = 100;

    belay::task<> deposit(long amount) {
        auto guard = co_await lock.lock();  // <- here
        balance += amount;
    }
    belay::task<> pay_interest() {
        auto guard = co_await lock.lock();
        co_await deposit(balance / 100);
    }
};

belay::task<> work() {
    account savings;
    co_await savings.pay_interest();
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(work);
    until_reported();
    job.request_stop();
    return 0;
}
