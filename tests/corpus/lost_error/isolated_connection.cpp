// reports lost-error
// Connections are isolated from each other, so an error of one must be handled in it. This one is not.
#include <belay/belay.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace {

belay::task<> serve(belay::io::tcp_stream peer) {
    std::array<std::byte, 4> header{};
    co_await peer.read_exact(header);  // the peer has gone
}

belay::task<> accept_all(belay::scope& s) {
    auto [ours, theirs] = belay::io::stream_pair();
    co_await s.spawn_when_free(serve, std::move(ours));  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(
        belay::with_scope({.name = "connections", .max_tasks = 10, .on_error = belay::on_error::isolate}, accept_all));
    return 0;
}
