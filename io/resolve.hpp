// Name resolution: from "example.org" and "https" to endpoints, as the system does it (files, DNS, whatever NSS says).
//
//     for (const io::endpoint& where : co_await io::resolve("example.org", "https")) std::puts(where.to_string().c_str());
#pragma once

#include <belay/io/endpoint.hpp>
#include <belay/runtime/task.hpp>

#include <string>
#include <vector>

namespace belay::io {

/// The TCP endpoints of a host, in the order in which to try them (RFC 6724), at least one. `host`: a name or a numeric
/// address; empty means this machine's loopback. `service`: a name of /etc/services or a port number.
///
/// getaddrinfo(3) runs on the runtime's blocking pool; when all its threads are busy, waits for one. Numeric input needs
/// neither, and does not suspend. Thread-safe.
/// On stop: ends at once. The lookup itself cannot be interrupted: it owns all that it uses, keeps its thread of the pool
/// until it is over, and its result is disposed of.
/// Throws std::system_error in resolver_category() (EAI_NONAME: no such host, EAI_AGAIN: the name server does not answer),
/// naming host and service; a std::system_category() error for what the system refused.
[[nodiscard]] task<std::vector<endpoint>> resolve(std::string host, std::string service);

}  // namespace belay::io
