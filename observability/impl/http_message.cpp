#include <belay/observability/impl/http_message.hpp>

#include <algorithm>

namespace belay::detail {
namespace {

const char* reason_phrase(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 431: return "Request Header Fields Too Large";
    default: return "Internal Server Error";
    }
}

bool is_method(std::string_view word) noexcept {
    return !word.empty() && word.size() <= 16 && std::ranges::all_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

http_request parse_http_request(std::string_view received) noexcept {
    http_request result;
    auto line_end = received.find_first_of("\r\n");
    if (line_end == std::string_view::npos) return result;
    auto line = received.substr(0, line_end);
    auto first = line.find(' ');
    auto last = line.rfind(' ');
    result.is = http_request::state::malformed;
    if (first == std::string_view::npos || first == last || !line.substr(last + 1).starts_with("HTTP/1.")) return result;
    result.method = line.substr(0, first);
    auto target = line.substr(first + 1, last - first - 1);
    if (!is_method(result.method) || !target.starts_with('/') || target.find(' ') != std::string_view::npos) return result;
    auto question = target.find('?');
    result.path = target.substr(0, question);
    result.query = question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
    bool head_ended = received.find("\r\n\r\n") != std::string_view::npos || received.find("\n\n") != std::string_view::npos;
    result.is = head_ended ? http_request::state::complete : http_request::state::incomplete;
    return result;
}

std::string render_http_response(const http_response& response, bool head_only) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + " " + reason_phrase(response.status) + "\r\n";
    out += "Content-Type: " + response.content_type + "\r\n";
    out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (response.status == 405) out += "Allow: GET, HEAD\r\n";
    out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
    if (!head_only) out += response.body;
    return out;
}

}  // namespace belay::detail
