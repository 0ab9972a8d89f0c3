// reports starvation
// policy starve=log:40ms,stall=log:1s
// Each page yields, but only after a piece of many milliseconds. No piece is a stall; all of them together are.
#include <belay/belay.hpp>

#include <ctime>

namespace {

bool reported() { return belay::guardrails::guardrail_counts()[belay::guardrail::starvation] != 0; }

void render_strip() {
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 100; std::clock() < end;) {}
}

belay::task<> render_page() {
    for (int strips = 0; strips < 100 && !reported(); ++strips) {
        render_strip();
        co_await belay::yield();
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        for (int page = 0; page < 20; ++page) s.spawn(render_page);  // <- here
        co_return;
    }));
    return 0;
}
