// reports blocking-call
// needs guard
// policy stall=off
// A synchronous client library sends its request and waits for the reply in recv().
#include <belay/belay.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

namespace {

class client {
public:
    explicit client(int socket) : socket_{socket} {}
    [[nodiscard]] std::string get(std::string_view key) const {
        ::send(socket_, key.data(), key.size(), 0);
        std::array<char, 64> reply{};
        auto n = ::recv(socket_, reply.data(), reply.size(), 0);
        return {reply.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
    }

private:
    int socket_;
};

belay::task<std::string> greeting(const client& store) { co_return "hello " + store.get("name"); }

belay::task<> page(const client& store) {
    co_await belay::timeout(std::chrono::seconds{5}, greeting(store));  // <- here
}

}  // namespace

int main() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return 1;
    {
        std::jthread server{[&] {
            std::array<char, 64> request{};
            (void)!::recv(ends[1], request.data(), request.size(), 0);
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            ::send(ends[1], "Ada", 3, 0);
        }};
        client store{ends[0]};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(page(store));
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
