#include "server.hpp"

#include "connection.hpp"

#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace kv {
namespace {

using namespace std::chrono_literals;
namespace io = belay::io;

std::string join_address(const server_options& options) {
    const bool v6 = options.bind.find(':') != std::string::npos;
    return (v6 ? "[" + options.bind + "]" : options.bind) + ":" + std::to_string(options.port);
}

bool is_descriptor_shortage(const std::error_code& error) noexcept {
    return error == std::errc::too_many_files_open || error == std::errc::too_many_files_open_in_system;
}

// Counted for as long as the connection lives, however it ends.
class connection_count {
public:
    explicit connection_count(server_status& status) : status_(status) {
        status_.connections_now.fetch_add(1, std::memory_order_relaxed);
        status_.connections_total.fetch_add(1, std::memory_order_relaxed);
    }
    ~connection_count() { status_.connections_now.fetch_sub(1, std::memory_order_relaxed); }
    connection_count(const connection_count&) = delete;
    connection_count& operator=(const connection_count&) = delete;

private:
    server_status& status_;
};

}  // namespace

server::server(server_options options)
    : options_(std::move(options)), listener_(io::tcp_listener::bind(join_address(options_))), interrupted_{SIGINT, SIGTERM} {
    status_.started = clock_now();
    status_.port = listener_.local().port();
    config_ = {
        {"appendonly", "no"},
        {"bind", options_.bind},
        {"databases", "1"},
        {"maxclients", std::to_string(options_.max_clients)},
        {"port", std::to_string(status_.port)},
        {"proto-max-bulk-len", std::to_string(parser_limits{}.max_bulk)},
        {"save", ""},
        {"timeout", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options_.idle_timeout).count())},
    };
    status_.config = config_;
}

belay::task<> server::run() { co_await belay::when_any(accept_all(), expire_keys(), interrupted_.next()); }

belay::task<> server::accept_all() {
    const belay::scope_options connections{
        .name = "connections", .max_tasks = options_.max_clients, .on_error = belay::on_error::isolate};
    co_await belay::with_scope(connections, [this](belay::scope& s) -> belay::task<> {
        for (;;) {
            try {
                co_await s.spawn_when_free([this](io::tcp_stream peer) { return serve(std::move(peer)); },
                                           co_await listener_.accept());
            } catch (const std::system_error& error) {
                // The client was told by a close; the listener keeps a descriptor for that, so this loop does not spin.
                if (!is_descriptor_shortage(error.code())) throw;
            }
        }
    });
}

belay::task<> server::serve(io::tcp_stream peer) {
    const connection_count counted(status_);
    session who{.id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1, .peer = {}, .since = clock_now(), .name = {}};
    try {
        who.peer = peer.peer().to_string();
    } catch (const std::system_error&) {
        co_return;  // gone already
    }
    co_await serve_connection(std::move(peer), conversation(data_, status_, std::move(who)), options_.idle_timeout);
}

belay::task<> server::expire_keys() {
    constexpr std::size_t slice = 2'000;  // entries between two yields: a fraction of a millisecond
    for (;;) {
        co_await belay::sleep_for(100ms);
        // As long as a tenth of what it looks at has expired there is more to be found: go on, but let others run.
        while (data_.expire_some(clock_now(), slice) >= slice / 10) co_await belay::yield();
    }
}

}  // namespace kv
