// reports deadlock
// policy deadlock=log:20ms
// also lock-order
// Two transfers in opposite directions lock their accounts in opposite orders.
#include <belay/belay.hpp>

#include <atomic>
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
};

struct meeting {
    std::atomic<int> came{0};
    belay::event both;
};

belay::task<> transfer(account* from, account* to, meeting* halfway) {
    auto debit = co_await from->lock.lock();
    if (++halfway->came == 2) halfway->both.set();
    co_await halfway->both.wait();
    auto credit = co_await to->lock.lock();  // <- here
    --from->balance;
    ++to->balance;
}

belay::task<> work() {
    account a;
    account b;
    meeting halfway;
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(transfer, &a, &b, &halfway);
        s.spawn(transfer, &b, &a, &halfway);
        co_return;
    });
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(work);
    until_reported();
    job.request_stop();
    return 0;
}
