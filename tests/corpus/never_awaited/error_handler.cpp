// reports never-awaited
// No co_await inside a catch: so the report of the error is only made, and goes with the handler.
#include <belay/belay.hpp>

#include <stdexcept>
#include <string>

namespace {

belay::task<> report_error(std::string) { co_await belay::yield(); }  // <- here

belay::task<> parse(std::string text) {
    co_await belay::yield();
    throw std::invalid_argument(text);
}

belay::task<> handle(std::string request) {
    try {
        co_await parse(std::move(request));
    } catch (const std::exception& e) {
        auto reported = report_error(e.what());
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(handle("GET"));
    return 0;
}
