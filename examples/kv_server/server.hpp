// The server: accepts connections, lets keys expire, and ends on SIGINT or SIGTERM. What an operator should know it says on
// standard error, one line each.
//
//     kv::server server(options);
//     runtime.block_on(server.run());
#pragma once

#include "options.hpp"
#include "session.hpp"
#include "store.hpp"

#include <belay/io/signal_set.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kv {

class server {
public:
    // Listens at once, so that who starts the server learns here that it cannot. Throws std::system_error.
    explicit server(server_options options);
    server(const server&) = delete;  // its tasks point to it
    server& operator=(const server&) = delete;

    [[nodiscard]] std::string address() const { return listener_.local().to_string(); }

    // Serves until SIGINT or SIGTERM; then accepts nothing more and returns when every connection has ended, which takes no
    // longer than options.grace.
    belay::task<> run();

private:
    belay::task<> accept_all();
    belay::task<> accept_into(belay::scope& connections, belay::scope& refusals);
    void admit(belay::scope& connections, belay::scope& refusals, belay::io::tcp_stream peer);
    belay::task<> serve(belay::io::tcp_stream peer);
    belay::task<> told_to_stop();
    belay::task<> expire_keys();

    server_options options_;
    belay::io::tcp_listener listener_;
    belay::io::signal_set interrupted_;  // from the start: a signal that comes before run() is not lost, nor deadly
    std::vector<std::pair<std::string_view, std::string>> config_;
    server_status status_;
    store data_;
    std::atomic<std::uint64_t> last_id_{0};
};

}  // namespace kv
