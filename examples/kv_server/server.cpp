#include "server.hpp"

#include "connection.hpp"

#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
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

// Says when descriptors run out and when there are some again: two lines for each shortage, not one for each client.
class descriptor_shortage {
public:
    void turned_away(const std::system_error& why) {
        if (turned_away_++ == 0) std::fprintf(stderr, "kv_server: clients are turned away: %s\n", why.what());
    }
    void accepted() {
        if (turned_away_ == 0) return;
        std::fprintf(stderr, "kv_server: accepting again; %zu clients were turned away\n", turned_away_);
        turned_away_ = 0;
    }

private:
    std::size_t turned_away_ = 0;
};

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
    status_.max_clients = options_.max_clients;
    status_.max_value = options_.max_bulk;
    config_ = {
        {"appendonly", "no"},
        {"bind", options_.bind},
        {"client-query-buffer-limit", std::to_string(options_.max_query)},
        {"databases", "1"},
        {"maxclients", std::to_string(options_.max_clients)},
        {"port", std::to_string(status_.port)},
        {"proto-max-bulk-len", std::to_string(options_.max_bulk)},
        {"save", ""},
        {"timeout", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options_.idle_timeout).count())},
    };
    status_.config = config_;
}

belay::task<> server::run() {
    co_await belay::when_any(accept_all(), expire_keys(), told_to_stop());
    if (const auto cut = status_.connections_cut.load(std::memory_order_relaxed); cut > 0) {
        std::fprintf(stderr, "kv_server: %llu clients did not take their replies within the grace\n",
                     static_cast<unsigned long long>(cut));
    }
}

belay::task<> server::told_to_stop() {
    const io::signal_info told = co_await interrupted_.next();
    std::fprintf(stderr, "kv_server: %.*s: ending; %llu clients have %.1f s to take their replies\n",
                 static_cast<int>(told.name().size()), told.name().data(),
                 static_cast<unsigned long long>(status_.connections_now.load(std::memory_order_relaxed)),
                 std::chrono::duration<double>(options_.grace).count());
}

belay::task<> server::accept_all() {
    const belay::scope_options served{
        .name = "connections", .max_tasks = options_.max_clients, .on_error = belay::on_error::isolate};
    // Refused clients are few at a time; beyond that they are told by a close alone.
    const belay::scope_options refused{.name = "refusals", .max_tasks = 64, .on_error = belay::on_error::isolate};
    co_await belay::with_scope(served, [&](belay::scope& connections) -> belay::task<> {
        co_await belay::with_scope(refused, [&](belay::scope& refusals) { return accept_into(connections, refusals); });
    });
}

belay::task<> server::accept_into(belay::scope& connections, belay::scope& refusals) {
    descriptor_shortage shortage;
    for (;;) {
        try {
            auto peer = co_await listener_.accept();
            shortage.accepted();
            admit(connections, refusals, std::move(peer));
        } catch (const std::system_error& error) {
            // The client was told by a close; the listener keeps a descriptor for that, so this loop does not spin.
            if (!is_descriptor_shortage(error.code())) throw;
            shortage.turned_away(error);
        }
    }
}

// Neither waits nor fails: a scope without room hands the connection back.
void server::admit(belay::scope& connections, belay::scope& refusals, io::tcp_stream peer) {
    const auto serve_one = [this](io::tcp_stream accepted) { return serve(std::move(accepted)); };
    if (connections.try_spawn(serve_one, std::move(peer))) return;
    status_.connections_rejected.fetch_add(1, std::memory_order_relaxed);
    refusals.try_spawn(turn_away, std::move(peer), "-ERR max number of clients reached\r\n");
}

belay::task<> server::serve(io::tcp_stream peer) {
    const connection_count counted(status_);
    session who{.id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1, .peer = {}, .since = clock_now(), .name = {}};
    try {
        who.peer = peer.peer().to_string();
    } catch (const std::system_error&) {
        co_return;  // gone already
    }
    const conversation_options limits{.limits = {.max_bulk = options_.max_bulk, .max_query = options_.max_query}};
    const connection_times times{.idle = options_.idle_timeout, .grace = options_.grace};
    co_await serve_connection(std::move(peer), conversation(data_, status_, std::move(who), limits), times,
                              status_.connections_cut);
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
