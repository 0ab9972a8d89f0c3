// reports lock-order
// needs guard
// The order of a shared lock counts as soon as somebody writes.
#include <belay/belay.hpp>

#include <mutex>
#include <shared_mutex>

namespace {

std::shared_mutex table_lock;
std::mutex statistics_lock;
int rows = 0;
int reads = 0;

belay::task<> read() {
    std::shared_lock table{table_lock};
    std::scoped_lock statistics{statistics_lock};
    reads += rows;
    co_return;
}

belay::task<> reset() {  // <- here
    std::scoped_lock statistics{statistics_lock};
    std::unique_lock table{table_lock};
    rows = reads = 0;
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime;
    runtime.block_on(read());
    runtime.block_on(reset());
    return 0;
}
