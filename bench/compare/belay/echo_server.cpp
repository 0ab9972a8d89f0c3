// belay: the echo server of the README. As `skew` it also has a task that keeps its worker busy for 5 ms of every 10 ms;
// BELAY_COMPARE_TAKEOVER=off shows what the other connections would see without takeover (promise 6).
#include <belay/belay.hpp>

#include <array>
#include <cstdlib>
#include <span>

#include "measure.hpp"

namespace {

namespace io = belay::io;
using namespace std::chrono_literals;

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

belay::task<> hog() {
    for (;;) {
        compare::burn(5ms);
        co_await belay::sleep_for(5ms);
    }
}

belay::task<> serve(bool skewed) {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    compare::report_port(listener.local().port());
    co_await belay::with_scope({.name = "connections", .on_error = belay::on_error::isolate},
                               [&](belay::scope& s) -> belay::task<> {
                                   if (skewed) s.spawn(hog);
                                   for (;;) s.spawn(echo, co_await listener.accept());
                               });
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    belay::runtime_options options{.workers = a.workers};
    const char* takeover = std::getenv("BELAY_COMPARE_TAKEOVER");
    if (takeover != nullptr && std::string_view{takeover} == "off") options.takeover_tick = 0ns;
    belay::runtime runtime{options};
    runtime.block_on(serve(a.name == "skew"));
}
