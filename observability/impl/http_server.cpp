#include <belay/observability/impl/http_server.hpp>

#include <belay/observability/impl/listen.hpp>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace belay::detail {

unique_fd::unique_fd(unique_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
unique_fd& unique_fd::operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}
unique_fd::~unique_fd() {
    if (fd_ >= 0) ::close(fd_);
}

namespace {

// The host's signals are for the host's threads.
class all_signals_blocked {
public:
    all_signals_blocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    all_signals_blocked(const all_signals_blocked&) = delete;
    all_signals_blocked& operator=(const all_signals_blocked&) = delete;
    ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

bool would_block(int error) noexcept { return error == EAGAIN || error == EINTR; }

}  // namespace

http_server::http_server(std::string_view address, handler answer)
    : answer_{std::move(answer)}, stop_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    if (stop_.get() < 0) throw std::system_error(errno, std::system_category(), "belay: debug endpoint: eventfd");
    auto opened = listen_on(address);
    listener_ = std::move(opened.socket);
    address_ = std::move(opened.address);
    port_ = opened.port;
    connections_.reserve(most_connections);
    all_signals_blocked blocked;  // the thread inherits the mask
    thread_ = std::thread{[this] { run(); }};
}

http_server::~http_server() {
    std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);  // cannot fail: the counter is far from full
    thread_.join();
}

void http_server::run() noexcept {
    ::pthread_setname_np(::pthread_self(), "belay-debug");
    std::array<pollfd, most_connections + 2> polled{};
    for (;;) {
        auto now = clock::now();
        polled[0] = {stop_.get(), POLLIN, 0};
        polled[1] = {listener_.get(), static_cast<short>(now < accept_again_ ? 0 : POLLIN), 0};
        auto count = connections_.size();
        for (std::size_t i = 0; i < count; ++i) {
            const auto& c = connections_[i];
            polled[i + 2] = {c.socket.get(), static_cast<short>(c.answer.empty() ? POLLIN : POLLOUT), 0};
        }
        int n = ::poll(polled.data(), count + 2, poll_timeout(now));
        if (polled[0].revents != 0) return;
        if (n > 0) {
            for (std::size_t i = 0; i < count; ++i)
                if (polled[i + 2].revents != 0) serve(connections_[i], polled[i + 2].revents);
            if ((polled[1].revents & POLLIN) != 0) accept_one();
        }
        close_late(clock::now());
    }
}

int http_server::poll_timeout(clock::time_point now) const noexcept {
    auto next = clock::time_point::max();
    for (const auto& c : connections_) next = std::min(next, c.deadline);
    if (now < accept_again_) next = std::min(next, accept_again_);
    if (next == clock::time_point::max()) return -1;
    auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
    return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
}

void http_server::accept_one() {
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (!would_block(errno) && errno != ECONNABORTED) accept_again_ = clock::now() + std::chrono::milliseconds{100};
        return;
    }
    // When all places are taken, the one that has been slow for longest makes room: a scrape is not kept out by clients that
    // say nothing.
    if (connections_.size() == most_connections)
        connections_.erase(std::ranges::min_element(connections_, {}, &connection::deadline));
    connections_.push_back({unique_fd{fd}, clock::now() + patience, {}, {}, 0, false});
}

void http_server::serve(connection& c, short events) {
    try {
        if ((events & (POLLERR | POLLNVAL)) != 0) {
            c.over = true;
        } else if (c.answer.empty()) {
            receive(c);
        } else {
            send(c);
        }
    } catch (...) {  // no memory for this answer
        c.over = true;
    }
}

void http_server::receive(connection& c) {
    std::array<char, 2048> bytes{};
    auto n = ::recv(c.socket.get(), bytes.data(), bytes.size(), 0);
    if (n < 0 && would_block(errno)) return;
    if (n <= 0) {
        c.over = true;
        return;
    }
    c.received.append(bytes.data(), static_cast<std::size_t>(n));
    auto request = parse_http_request(c.received);
    if (request.is == http_request::state::incomplete && c.received.size() < largest_request) return;

    http_response response;
    if (request.is == http_request::state::incomplete) {
        response = {431, response.content_type, "the request is too large\n"};
    } else if (request.is == http_request::state::malformed) {
        response = {400, response.content_type, "this is not an HTTP/1 request\n"};
    } else if (request.method != "GET" && request.method != "HEAD") {
        response = {405, response.content_type, "only GET and HEAD\n"};
    } else {
        response = answer_(request);
    }
    c.answer = render_http_response(response, request.method == "HEAD");
    c.deadline = clock::now() + patience;
    send(c);
}

void http_server::send(connection& c) {
    auto n = ::send(c.socket.get(), c.answer.data() + c.sent, c.answer.size() - c.sent, MSG_NOSIGNAL);
    if (n < 0) {
        c.over = !would_block(errno);
        return;
    }
    c.sent += static_cast<std::size_t>(n);
    if (c.sent == c.answer.size()) c.over = true;
}

void http_server::close_late(clock::time_point now) noexcept {
    std::erase_if(connections_, [&](const connection& c) { return c.over || c.deadline <= now; });
}

}  // namespace belay::detail
