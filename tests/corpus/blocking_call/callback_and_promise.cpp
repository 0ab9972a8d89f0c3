// reports blocking-call
// needs guard
// policy stall=off
// A client with callbacks is made synchronous by a std::promise, and waited for inside a task.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace {

class broker_client {
public:
    void ask(std::function<void(std::string)> then) {
        thread_ = std::jthread{[then = std::move(then)] {
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            then("17 messages");
        }};
    }

private:
    std::jthread thread_;
};

std::string ask_and_wait(broker_client& client) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto answer = promise->get_future();
    client.ask([promise](std::string text) { promise->set_value(std::move(text)); });
    return answer.get();
}

belay::task<std::size_t> queue_length(broker_client& client) { co_return ask_and_wait(client).size(); }

}  // namespace

int main() {
    broker_client client;
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(queue_length(client));  // <- here
    return 0;
}
