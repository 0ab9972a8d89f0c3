// A small HTTP server that shows what a runtime does, on a thread of its own: it answers while every worker is stuck.
//
//     auto endpoint = belay::serve_debug_endpoint(runtime, "127.0.0.1:9464");
//     $ curl http://127.0.0.1:9464/metrics
//
//     /metrics   Prometheus text format 0.0.4
//     /healthz   "ok" while the process can answer at all
//
// It has neither encryption nor passwords: keep it on a loopback or internal address.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace belay {

class local_runtime;
class runtime;

/// A running endpoint; its destructor ends it and joins its thread. It may outlive the runtime, of which it then shows nothing.
class [[nodiscard]] debug_endpoint {
public:
    debug_endpoint(debug_endpoint&& other) noexcept;
    debug_endpoint& operator=(debug_endpoint&& other) noexcept;
    ~debug_endpoint();

    /// The port it listens on; the chosen one if port 0 was asked for.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// "127.0.0.1:9464"
    [[nodiscard]] const std::string& address() const noexcept;

private:
    friend debug_endpoint serve_debug_endpoint(runtime& of, std::string_view address);
    friend debug_endpoint serve_debug_endpoint(local_runtime& of, std::string_view address);
    class impl;
    explicit debug_endpoint(std::unique_ptr<impl> server) noexcept;
    std::unique_ptr<impl> impl_;
};

/// Listens on "host:port", with IPv6 in brackets; port 0 takes a free one. Throws std::invalid_argument for an address that
/// cannot be one, and std::system_error that names the address and the remedy when the system refuses.
[[nodiscard]] debug_endpoint serve_debug_endpoint(runtime& of, std::string_view address);
[[nodiscard]] debug_endpoint serve_debug_endpoint(local_runtime& of, std::string_view address);

}  // namespace belay
