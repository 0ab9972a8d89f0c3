// belay inside a program that has a poll(2) loop of its own and no wish for another thread. The host serves a line protocol on a
// pipe, as it would its standard input; belay, in the same thread, runs a TCP echo server and clients that use it, and a clock.
// Neither knows of the other but for one descriptor in the host's set. Ends by itself.
#include <belay/belay.hpp>

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
namespace io = belay::io;

// ---- belay's side: ordinary tasks ---------------------------------------------------------------------------------

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

belay::task<> serve(io::tcp_listener listener) {
    co_await belay::with_scope({.name = "connections", .max_tasks = 100, .on_error = belay::on_error::isolate},
                               [&](belay::scope& s) -> belay::task<> {
                                   for (;;) co_await s.spawn_when_free(echo, co_await listener.accept());
                               });
}

belay::task<> converse(io::endpoint server, int messages) {
    auto stream = co_await io::tcp_stream::connect(server);
    std::array<std::byte, 5> message{};
    for (int i = 0; i < messages; ++i) {
        co_await stream.write_all(std::as_bytes(std::span("hello", 5)));
        co_await stream.read_exact(message);
        co_await belay::sleep_for(1ms);
    }
}

/// Tells the host in the host's own language: a line in its pipe.
belay::task<> talk_to_the_host(int pipe, io::endpoint server) {
    for (int i = 0; i < 3; ++i) {
        co_await belay::when_all(converse(server, 5), converse(server, 5));
        co_await belay::spawn_blocking([pipe] { (void)!::write(pipe, "report\n", 7); });  // a pipe may block: not on this thread
    }
}

/// However the talk ends, the host learns of it.
belay::task<> talk_and_quit(int pipe, io::endpoint server) {
    co_await belay::finally(talk_to_the_host(pipe, server), [pipe]() -> belay::task<> {
        co_await belay::spawn_blocking([pipe] { (void)!::write(pipe, "quit\n", 5); });
    });
}

// ---- the host's side: a loop as they have been written for forty years -------------------------------------------------

class host {
public:
    explicit host(int commands) : commands_{commands} {}

    /// Until the command "quit". Returns how often poll(2) returned.
    int run(belay::local_runtime& tasks) {
        int turns = 0;
        for (; !quit_; ++turns) {
            std::array<pollfd, 2> ready{{{commands_, POLLIN, 0}, {tasks.native_handle(), POLLIN, 0}}};
            if (::poll(ready.data(), ready.size(), -1) < 0) {
                if (errno == EINTR) continue;
                throw std::runtime_error("poll failed");
            }
            if (ready[0].revents != 0) read_commands();
            if (ready[1].revents != 0) tasks.poll();  // bounded; if there is more to do, the descriptor says so again
        }
        return turns;
    }
    [[nodiscard]] int reports() const { return reports_; }

private:
    void read_commands() {
        char text[64];
        auto n = ::read(commands_, text, sizeof text);
        if (n <= 0) quit_ = true;
        for (line_.append(text, n > 0 ? static_cast<std::size_t>(n) : 0); line_.find('\n') != std::string::npos;) {
            auto end = line_.find('\n');
            obey(std::string_view{line_}.substr(0, end));
            line_.erase(0, end + 1);
        }
    }
    void obey(std::string_view command) {
        if (command == "quit") quit_ = true;
        if (command == "report") ++reports_;
    }

    int commands_;
    std::string line_;
    bool quit_ = false;
    int reports_ = 0;
};

}  // namespace

int main() {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return 1;

    belay::local_runtime tasks{{.name = "embedded"}};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto address = listener.local();
    tasks.spawn(serve, std::move(listener));
    tasks.spawn(talk_and_quit, pipe[1], address);

    host loop{pipe[0]};
    int turns = loop.run(tasks);
    bool clean = tasks.shutdown(5s).clean();  // the server, which would never end by itself
    std::printf("embed_poll: %d reports in %d turns of the host's loop; belay used %.*s and ended %s\n", loop.reports(), turns,
                static_cast<int>(tasks.io_driver().size()), tasks.io_driver().data(), clean ? "cleanly" : "with tasks left");
    ::close(pipe[0]);
    ::close(pipe[1]);
    return clean && loop.reports() == 3 ? 0 : 1;
}
