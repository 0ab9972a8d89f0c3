// reports never-awaited
// The cache is asked while the request is made ready; and the request then is not made.
#include <belay/belay.hpp>

#include <optional>
#include <string>
#include <utility>

namespace {

belay::task<std::string> ask_server(std::string) { co_return "fresh"; }  // <- here

belay::task<std::optional<std::string>> ask_cache(std::string) {
    co_await belay::yield();
    co_return "cached";
}

belay::task<std::string> get(std::string key) {
    auto request = ask_server(key);
    if (auto cached = co_await ask_cache(key)) co_return *cached;
    co_return co_await std::move(request);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(get("index"));
    return 0;
}
