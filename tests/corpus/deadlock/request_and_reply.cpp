// reports deadlock
// policy deadlock=log:20ms
// Client and server each wait for the other one to speak first.
#include <belay/belay.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> serve(belay::receiver<std::string> requests, belay::sender<std::string> replies) {
    while (auto request = co_await requests.recv()) co_await replies.send(*request);
}

belay::task<> talk(belay::sender<std::string> to, belay::receiver<std::string> from) {
    auto banner = co_await from.recv();  // <- here
    co_await to.send("hello");
}

belay::task<> both() {
    auto [ask, asked] = belay::channel<std::string>(1);
    auto [answer, answered] = belay::channel<std::string>(1);
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(serve, std::move(asked), std::move(answer));
        s.spawn(talk, std::move(ask), std::move(answered));
        co_return;
    });
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(both);
    until_reported();
    job.request_stop();
    return 0;
}
