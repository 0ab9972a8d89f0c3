// reports lost-error
// The transaction fails, and so does its rollback.
#include <belay/belay.hpp>

#include <stdexcept>

namespace {

belay::task<> update() {
    co_await belay::yield();
    throw std::runtime_error("deadlock found in the database");
}

belay::task<> roll_back() {
    co_await belay::yield();
    throw std::runtime_error("the connection is gone");
}

belay::task<> transaction() {
    co_await belay::finally(update(), roll_back);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(transaction);
    } catch (const std::runtime_error&) {}
    return 0;
}
