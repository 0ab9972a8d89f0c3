// A server that speaks the Redis protocol, and the model of how an application embeds belay:
// - its logic (resp_parser, store, commands, conversation) knows nothing of belay and is tested without it;
// - server.cpp and connection.cpp are the shell: a bounded scope of connections, each one coroutine around a conversation;
// - main() makes the runtime, its metrics and its root task, and gives it a bounded time to end.
//
//     kv_server --port 6379 --metrics 127.0.0.1:9464
//     redis-benchmark -t get,set -P 16
#include "options.hpp"
#include "server.hpp"

#include <belay/observability/debug_endpoint.hpp>
#include <belay/runtime/runtime.hpp>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

int run(const kv::server_options& options) {
    belay::runtime runtime{{.workers = options.workers, .name = "kv", .shutdown_grace = options.grace}};
    kv::server server(options);
    std::optional<belay::debug_endpoint> metrics;
    if (options.metrics) metrics = belay::serve_debug_endpoint(runtime, *options.metrics);

    if (metrics) std::printf("kv_server: metrics on http://%s/metrics\n", metrics->address().c_str());
    std::printf("kv_server: listening on %s, %u workers, %.*s\n", server.address().c_str(), runtime.workers(),
                static_cast<int>(runtime.io_driver().size()), runtime.io_driver().data());
    std::fflush(stdout);
    runtime.block_on(server.run());
    return runtime.shutdown(options.grace).clean() ? 0 : 1;
}

int print_usage(std::FILE* where, const std::string& message) {
    if (!message.empty()) std::fprintf(where, "kv_server: %s\n", message.c_str());
    std::fprintf(where, "%s", kv::usage_text().data());
    return message.empty() ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    const kv::parsed_options parsed = kv::parse_options(arguments);
    if (const auto* mistake = std::get_if<kv::usage_error>(&parsed)) return print_usage(stderr, mistake->message);
    if (std::holds_alternative<kv::help_wanted>(parsed)) return print_usage(stdout, {});
    try {
        return run(std::get<kv::server_options>(parsed));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "kv_server: %s\n", error.what());
        return 1;
    }
}
