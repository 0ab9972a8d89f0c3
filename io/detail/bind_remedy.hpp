// What helps when an IP socket cannot be bound, for the texts of errors.
#pragma once

#include <belay/io/endpoint.hpp>

#include <cerrno>
#include <string>

namespace belay::io::detail {

/// In brackets, behind a blank; empty when nothing is known. EADDRINUSE is for the caller, who knows how the port is shared.
inline std::string bind_remedy(int error, const endpoint& where) {
    switch (error) {
    case EADDRNOTAVAIL: return " (no network interface of this machine has this address)";
    case EACCES:
        return where.port() < 1024
                   ? " (ports below 1024 need root, CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start)"
                   : "";
    case EAFNOSUPPORT: return " (this system does not have this address family)";
    default: return "";
    }
}

}  // namespace belay::io::detail
