#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/tcp_stream.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <vector>

namespace belay::io {
namespace {

void set_option(int fd, int level, int name, int value, const char* what) {
    if (detail::socket_calls::set_option(fd, level, name, value) == 0) return;
    const int error = errno;
    detail::throw_errno(error, detail::describe_socket(std::string{what} + "(" + std::to_string(value) + ")", fd));
}

int to_seconds(std::chrono::seconds time, const char* field) {
    if (time.count() < 1 || time.count() > INT16_MAX)
        throw std::invalid_argument{std::string{"belay: keep_alive_times::"} + field + " must be 1 to 32767 seconds"};
    return static_cast<int>(time.count());
}

int to_int(std::size_t bytes) noexcept { return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)); }

}  // namespace

void detail::throw_transfer_error(direction way, int fd, int error) {
    throw_errno(error, describe_socket(way == direction::read ? "tcp_stream: read" : "tcp_stream: write", fd));
}

bool detail::write_all_awaiter::advance(const send_awaiter& operation) noexcept {
    if (operation.result < 0) {
        error_ = -operation.result;
        return true;
    }
    const auto bytes = static_cast<std::size_t>(operation.result);
    if (transferred_ != nullptr) *transferred_ += bytes;
    data_ = data_.subspan(bytes);
    return data_.empty();
}

bool detail::write_all_vectored_awaiter::advance(const vectored_awaiter<direction::write>& operation) noexcept {
    if (operation.result < 0) {
        error_ = -operation.result;
        return true;
    }
    const auto bytes = static_cast<std::size_t>(operation.result);
    if (transferred_ != nullptr) *transferred_ += bytes;
    take(bytes);
    return buffers_.empty();
}

void detail::write_all_vectored_awaiter::take(std::size_t bytes) noexcept {
    sent_ += bytes;
    while (!buffers_.empty() && sent_ >= buffers_.front().size()) {
        sent_ -= buffers_.front().size();
        buffers_ = buffers_.subspan(1);
    }
}

bool detail::read_exact_awaiter::advance(const recv_awaiter& operation) noexcept {
    if (operation.result < 0) {
        error_ = -operation.result;
        return true;
    }
    operation.note_drained();
    const auto bytes = static_cast<std::size_t>(operation.result);
    if (transferred_ != nullptr) *transferred_ += bytes;
    buffer_ = buffer_.subspan(bytes);
    return bytes == 0 || buffer_.empty();
}

void detail::throw_end_of_stream(int fd) {
    throw std::system_error{errc::end_of_stream, "belay: " + describe_socket("tcp_stream: read_exact", fd)};
}

// ---- calls that do not wait ------------------------------------------------------------------------------------

void tcp_stream::shutdown(shutdown_side side) {
    static_assert(SHUT_RD == static_cast<int>(shutdown_side::read) && SHUT_WR == static_cast<int>(shutdown_side::write) &&
                  SHUT_RDWR == static_cast<int>(shutdown_side::both));
    if (detail::socket_calls::shutdown(native_handle(), static_cast<int>(side)) == 0 || errno == ENOTCONN) return;
    detail::throw_errno(errno, "tcp_stream: shutdown");
}

void tcp_stream::set_no_delay(toggle value) {
    set_option(native_handle(), IPPROTO_TCP, TCP_NODELAY, value == toggle::on ? 1 : 0, "tcp_stream: set_no_delay");
}

void tcp_stream::set_keep_alive(toggle value) {
    set_option(native_handle(), SOL_SOCKET, SO_KEEPALIVE, value == toggle::on ? 1 : 0, "tcp_stream: set_keep_alive");
}

void tcp_stream::set_keep_alive(keep_alive_times times) {
    const int idle = to_seconds(times.idle, "idle");
    const int interval = to_seconds(times.interval, "interval");
    if (times.probes < 1 || times.probes > 127) throw std::invalid_argument{"belay: keep_alive_times::probes must be 1 to 127"};
    constexpr auto what = "tcp_stream: set_keep_alive";
    set_option(native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, idle, what);
    set_option(native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, interval, what);
    set_option(native_handle(), IPPROTO_TCP, TCP_KEEPCNT, times.probes, what);
    set_keep_alive(toggle::on);
}

void tcp_stream::set_receive_buffer(std::size_t bytes) {
    set_option(native_handle(), SOL_SOCKET, SO_RCVBUF, to_int(bytes), "tcp_stream: set_receive_buffer");
}

void tcp_stream::set_send_buffer(std::size_t bytes) {
    set_option(native_handle(), SOL_SOCKET, SO_SNDBUF, to_int(bytes), "tcp_stream: set_send_buffer");
}

endpoint tcp_stream::local() const {
    endpoint result;
    if (!result.assign_local_of(native_handle())) detail::throw_errno(errno, "tcp_stream: local");
    return result;
}

endpoint tcp_stream::peer() const {
    endpoint result;
    if (!result.assign_peer_of(native_handle())) detail::throw_errno(errno, "tcp_stream: peer");
    return result;
}

std::pair<tcp_stream, tcp_stream> stream_pair() {
    int ends[2];
    if (detail::socket_calls::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        detail::throw_errno(errno, "stream_pair");
    return {tcp_stream{descriptor{ends[0]}}, tcp_stream{descriptor{ends[1]}}};
}

}  // namespace belay::io
