// reports guard-across-suspension
// needs guard
// The lock is handed to the coroutine as a proof that it is held. It is: until the coroutine ends.
#include <belay/belay.hpp>

#include <mutex>
#include <string>

namespace {

belay::task<> flush(const std::string&) { co_await belay::yield(); }

belay::task<> append(std::unique_lock<std::mutex> held, std::string& journal, std::string entry) {
    journal += entry;
    co_await flush(journal);  // <- here
    held.unlock();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    std::mutex mutex;
    std::string journal;
    runtime.block_on([&]() -> belay::task<> { co_await append(std::unique_lock{mutex}, journal, "begun"); });
    return 0;
}
