// expect: a pool runs f() or f(std::stop_token), and this callable takes something else: capture what it needs
#include <belay/belay.hpp>
belay::task<> wrong(belay::blocking_pool& pool) {
    co_await pool.run([](int) {});
}
