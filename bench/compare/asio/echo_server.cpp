// Boost.Asio's echo server, as in its own examples: one coroutine per connection on the epoll reactor.
// Case: echo.
#include <boost/asio.hpp>

#include <array>
#include <thread>
#include <vector>

#include "measure.hpp"

namespace asio = boost::asio;
using asio::awaitable, asio::detached, asio::use_awaitable, asio::ip::tcp;

namespace {

awaitable<void> echo(tcp::socket peer) {
    std::array<char, 4096> buffer;
    try {
        for (;;) {
            std::size_t n = co_await peer.async_read_some(asio::buffer(buffer), use_awaitable);
            co_await asio::async_write(peer, asio::buffer(buffer, n), use_awaitable);
        }
    } catch (const boost::system::system_error&) {  // the end of the stream
    }
}

awaitable<void> serve(tcp::acceptor& acceptor) {
    for (;;) {
        tcp::socket peer = co_await acceptor.async_accept(use_awaitable);
        peer.set_option(tcp::no_delay{true});
        co_spawn(acceptor.get_executor(), echo(std::move(peer)), detached);
    }
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    asio::io_context context{static_cast<int>(a.workers)};
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    co_spawn(context, serve(acceptor), detached);
    compare::report_port(acceptor.local_endpoint().port());
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < a.workers; ++i) others.emplace_back([&] { context.run(); });
    context.run();
}
