// The part of HTTP/1.1 that the debug endpoint speaks: GET and HEAD, one request a connection. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace belay::detail {

struct http_response {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

struct http_request {
    enum class state { incomplete, complete, malformed };
    state is = state::incomplete;
    std::string_view method;
    std::string_view path;   ///< without the query
    std::string_view query;
};

/// Looks at what has arrived so far; the views point into it.
http_request parse_http_request(std::string_view received) noexcept;
/// The bytes of the answer. A HEAD request gets the head alone.
std::string render_http_response(const http_response& response, bool head_only);

}  // namespace belay::detail
