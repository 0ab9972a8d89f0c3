// reports blocked-worker
// policy stall=log:20ms,block=off
// A synchronous database driver, and a query that takes long: also without belay::guard a long wait is seen.
#include <belay/belay.hpp>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <string>

namespace {

class database {
public:
    explicit database(int socket) : socket_{socket} {
        timeval limit{0, 500'000};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    [[nodiscard]] std::string query(const std::string& text) const {
        std::array<char, 256> rows{};
        ::send(socket_, text.data(), text.size(), 0);
        auto n = ::recv(socket_, rows.data(), rows.size(), 0);
        return {rows.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
    }

private:
    int socket_;
};

belay::task<std::string> orders_of(const database& db, std::string customer) {
    co_return db.query("select * from orders where customer = '" + customer + "'");
}

belay::task<> page(const database& db) {
    auto rows = co_await orders_of(db, "alice");  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return 1;
    {
        database db{ends[0]};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(page(db));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
