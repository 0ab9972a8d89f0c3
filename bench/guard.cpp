// What belay::guard adds to a lock and to a call of the C library. The program is not linked with it: run it as it is, and with
// LD_PRELOAD=libbelay_guard.so.
#include <belay/bench/measure.hpp>
#include <belay/observability/guardrails.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>

namespace {

void say_if_guarded(benchmark::State& state) { state.SetLabel(belay::guardrails::guard_attached() ? "guard:1" : "guard:0"); }

void lock_and_unlock(std::mutex& mutex) {
    std::scoped_lock lock{mutex};
    benchmark::ClobberMemory();
}

void lock_outside(benchmark::State& state) {
    belay::runtime runtime{{.workers = 1}};
    std::mutex mutex;
    for (auto _ : state) lock_and_unlock(mutex);
    say_if_guarded(state);
}
BENCHMARK(lock_outside)->Name("guard/lock/outside");

belay::task<> lock_in_a_task(benchmark::State& state) {
    std::mutex mutex;
    for (auto _ : state) lock_and_unlock(mutex);
    say_if_guarded(state);
    co_return;
}
BENCHMARK(bench::on_workers<lock_in_a_task>)->Name("guard/lock/in_a_task")->Apply(bench::with_1_worker);

class zeroes {
public:
    zeroes() : fd_{::open("/dev/zero", O_RDONLY | O_CLOEXEC)} {}
    zeroes(const zeroes&) = delete;
    zeroes& operator=(const zeroes&) = delete;
    ~zeroes() { ::close(fd_); }
    void read_one() const {
        char byte = 1;
        if (::read(fd_, &byte, 1) != 1) std::abort();
        benchmark::DoNotOptimize(byte);
    }

private:
    int fd_;
};

void read_outside(benchmark::State& state) {
    belay::runtime runtime{{.workers = 1}};
    zeroes file;
    for (auto _ : state) file.read_one();
    say_if_guarded(state);
}
BENCHMARK(read_outside)->Name("guard/read/outside");

belay::task<> read_in_a_task(benchmark::State& state) {
    zeroes file;
    for (auto _ : state) file.read_one();
    say_if_guarded(state);
    co_return;
}
BENCHMARK(bench::on_workers<read_in_a_task>)->Name("guard/read/in_a_task")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
