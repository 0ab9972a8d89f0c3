// reports guard-across-suspension
// A sync_mutex in a std::unique_lock: where it was locked is a line of the standard library, where it suspends is known.
#include <belay/belay.hpp>

#include <mutex>
#include <vector>

namespace {

belay::task<> write_out(const std::vector<int>&) { co_await belay::yield(); }

belay::task<> flush(belay::sync_mutex& mutex, std::vector<int>& samples) {
    std::unique_lock lock{mutex};
    co_await write_out(samples);  // <- here
    samples.clear();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    belay::sync_mutex mutex;
    std::vector<int> samples{1, 2, 3};
    runtime.block_on(flush(mutex, samples));
    return 0;
}
