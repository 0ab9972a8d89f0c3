// expect: for tasks, I/O and everything else use when_any, which stops and awaits the losers
#include <belay/belay.hpp>
belay::task<> wrong(belay::receiver<int>& messages, belay::io::tcp_stream& peer, std::span<std::byte> buffer) {
    (void)co_await belay::select(messages.recv(), peer.read_exact(buffer));
}
