// reports lost-error
// no line: a hook is no task; the report names the option that it is
// A hook that runs when a worker ends writes its statistics, and cannot.
#include <belay/belay.hpp>

#include <stdexcept>

int main() {
    belay::runtime runtime{{.workers = 1, .on_worker_stop = [](unsigned) { throw std::runtime_error("disk full"); }}};
    return 0;
}
