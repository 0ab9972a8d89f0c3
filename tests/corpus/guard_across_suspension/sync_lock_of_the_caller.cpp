// reports guard-across-suspension
// The lock is two frames above the await: who wrote the inner function did not know of it.
#include <belay/belay.hpp>

#include <string>

namespace {

struct session {
    belay::sync_mutex mutex;
    std::string state = "new";
};

belay::task<> write_log(std::string) { co_await belay::yield(); }  // was a plain function once

belay::task<> set_state(session& s, std::string to) {
    s.state = to;
    co_await write_log("state is " + to);  // <- here
}

belay::task<> log_out(session& s) {
    belay::sync_lock lock{s.mutex};
    co_await set_state(s, "closed");
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    session s;
    runtime.block_on(log_out(s));
    return 0;
}
