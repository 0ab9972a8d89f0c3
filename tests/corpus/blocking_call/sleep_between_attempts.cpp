// reports blocking-call
// needs guard
// policy stall=off
// Between two attempts the task sleeps, and with it the worker.
#include <belay/belay.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

namespace {

belay::task<std::optional<std::string>> try_download(int attempt) {
    co_await belay::yield();
    if (attempt < 2) co_return std::nullopt;
    co_return "page";
}

belay::task<std::string> download() {
    for (int attempt = 0;; ++attempt) {
        if (auto page = co_await try_download(attempt)) co_return *page;  // <- here
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(download);
    return 0;
}
