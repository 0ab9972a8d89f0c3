// reports blocked-worker
// policy stall=log:20ms
// The file arrives piece by piece, as it should, and is then parsed in one go.
#include <belay/belay.hpp>

#include <ctime>
#include <sstream>
#include <string>
#include <utility>

namespace {

long parse(const std::string& text) {
    long sum = 0;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) {
        std::istringstream line{text};
        for (std::string field; std::getline(line, field, ',');) sum += std::stol(field);
    }
    return sum;
}

belay::task<long> import_numbers(belay::receiver<std::string> pieces) {
    std::string text;
    while (auto piece = co_await pieces.recv()) text += *piece;  // <- here
    co_return parse(text);
}

belay::task<> upload(belay::scope& s) {
    auto [tx, rx] = belay::channel<std::string>(8);
    s.spawn(import_numbers, std::move(rx));
    for (int i = 0; i < 100; ++i) (void)co_await tx.send("1,22,333,");
    (void)co_await tx.send("4");
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope(upload));
    return 0;
}
