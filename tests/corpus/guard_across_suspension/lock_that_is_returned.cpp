// reports guard-across-suspension
// needs guard
// locked() returns the routes together with their lock, which then lives as long as the whole function.
#include <belay/belay.hpp>

#include <map>
#include <mutex>
#include <string>

namespace {

class routing_table {
public:
    struct access {
        std::unique_lock<std::mutex> lock;
        std::map<std::string, std::string>& routes;
    };
    access locked() { return {std::unique_lock{mutex_}, routes_}; }

private:
    std::mutex mutex_;
    std::map<std::string, std::string> routes_{{"/", "home"}};
};

belay::task<> forward(std::string) { co_await belay::yield(); }

belay::task<> handle(routing_table& table, std::string path) {
    auto [lock, routes] = table.locked();
    co_await forward(routes[path]);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    routing_table table;
    runtime.block_on(handle(table, "/"));
    return 0;
}
