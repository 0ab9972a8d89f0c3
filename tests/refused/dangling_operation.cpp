// expect: temporary whose address is used as value of local variable 'waiting' will be destroyed
// flags: -Werror=dangling
// only: clang
#include <belay/belay.hpp>

belay::mutex make();
belay::task<> wrong() {
    auto waiting = make().lock();
    auto guard = co_await std::move(waiting);
}
