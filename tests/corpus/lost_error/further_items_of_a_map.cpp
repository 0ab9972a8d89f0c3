// reports lost-error
// All addresses are wrong, and map throws the error of one of them.
#include <belay/belay.hpp>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

belay::task<int> deliver(std::string address) {
    co_await belay::yield();
    throw std::invalid_argument("no such street: " + address);
}

belay::task<> deliver_all(std::vector<std::string> addresses) {
    co_await belay::map(std::move(addresses), belay::at_most(3), deliver);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(deliver_all({"Elm St", "Oak St", "Fir St"}));
    } catch (const std::invalid_argument&) {}
    return 0;
}
