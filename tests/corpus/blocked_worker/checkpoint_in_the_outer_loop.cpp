// reports blocked-worker
// policy stall=log:20ms
// There is a checkpoint, and it is reached twice a second.
#include <belay/belay.hpp>

#include <ctime>
#include <vector>

namespace {

using matrix = std::vector<double>;

double multiply_row(const matrix& a, const matrix& b, std::size_t n) {
    double trace = 0;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;)
        for (std::size_t i = 0; i < n; ++i) trace += a[i] * b[n - 1 - i];
    return trace;
}

belay::task<double> multiply(matrix a, matrix b) {
    double trace = 0;
    for (int rows = 0; rows < 1; ++rows) {
        co_await belay::checkpoint();  // <- here
        trace += multiply_row(a, b, a.size());
    }
    co_return trace;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(multiply(matrix(1000, 2.0), matrix(1000, 0.5)));
    return 0;
}
