// reports lock-order
// needs guard
// Two std::mutex at namespace scope, as libraries have them.
#include <belay/belay.hpp>

#include <mutex>
#include <string>

namespace {

std::mutex config_lock;
std::mutex log_lock;
std::string config = "verbose";
std::string log_text;

belay::task<> write_log() {
    std::scoped_lock log{log_lock};
    std::scoped_lock guard{config_lock};
    log_text += config;
    co_return;
}

belay::task<> reload() {  // <- here
    std::scoped_lock guard{config_lock};
    std::scoped_lock log{log_lock};
    log_text += "reloaded";
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime;
    runtime.block_on(write_log());
    runtime.block_on(reload());
    return 0;
}
