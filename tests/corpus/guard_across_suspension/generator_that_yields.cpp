// reports guard-across-suspension
// needs guard
// A generator holds the lock of its table at each co_yield. What its consumer awaits in between is none of its business.
#include <belay/belay.hpp>

#include <mutex>
#include <vector>

namespace {

struct table {
    std::mutex mutex;
    std::vector<int> rows{1, 2, 3};
};

belay::async_generator<int> rows_of(table& t) {
    std::scoped_lock lock{t.mutex};
    for (int row : t.rows) co_yield row;
}

belay::task<int> sum(table& t) {
    int result = 0;
    auto rows = rows_of(t);
    while (auto row = co_await rows.next()) {
        co_await belay::yield();  // <- here
        result += *row;
    }
    co_return result;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    table t;
    runtime.block_on(sum(t));
    return 0;
}
