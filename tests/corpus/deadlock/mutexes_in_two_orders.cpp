// reports deadlock
// policy deadlock=log:20ms
// Two transfers in opposite directions lock their accounts in opposite orders.
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
};

belay::task<> transfer(account* from, account* to, belay::event* both) {
    auto debit = co_await from->lock.lock();
    co_await both->wait();
    auto credit = co_await to->lock.lock();  // <- here
    --from->balance;
    ++to->balance;
}

belay::task<> work() {
    account a;
    account b;
    belay::event both;
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(transfer, &a, &b, &both);
        s.spawn(transfer, &b, &a, &both);
        for (int i = 0; i < 10; ++i) co_await belay::yield();
        both.set();
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
