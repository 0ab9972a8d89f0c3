// reports borrowed-captures
// The handler is looked up and called. When the table of handlers changes, the lambda in it goes while its task runs.
#include <belay/belay.hpp>

#include <functional>
#include <map>
#include <string>
#include <utility>

namespace {

using handler = std::function<belay::task<>(std::string)>;

belay::task<> reply(int, std::string) { co_await belay::yield(); }

belay::task<> dispatch(belay::scope& s, std::map<std::string, handler>& handlers) {
    auto done = s.spawn(handlers.at("/")("index"));
    co_await done.join();
}

}  // namespace

int main() {
    int status = 200;
    std::map<std::string, handler> handlers;
    handlers["/"] = [status](std::string page) -> belay::task<> { co_await reply(status, std::move(page)); };  // <- here
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([&](belay::scope& s) { return dispatch(s, handlers); }));
    return 0;
}
