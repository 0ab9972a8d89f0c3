// reports lost-error
// A task is spawned into the runtime and its handle dropped: whether the mail was sent nobody asks.
#include <belay/belay.hpp>

#include <stdexcept>
#include <string>

namespace {

belay::task<> send_mail(std::string to) {
    co_await belay::yield();
    throw std::runtime_error("550 mailbox unavailable: " + to);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.spawn(send_mail, std::string{"alice"});  // <- here
    while (runtime.metrics().live_tasks != 0) {}
    return 0;
}
