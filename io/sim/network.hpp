// The sockets and pipes of a simulation, and what happens between them.
#pragma once

#include <belay/io/endpoint.hpp>
#include <belay/io/sim/disks.hpp>
#include <belay/io/sim_network.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/driver.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace belay::detail {
class sim_port;
}

namespace belay::io::sim {

using belay::detail::io_operation;
using belay::detail::sim_port;

/// Numbers that no kernel gives to a descriptor: those of simulated sockets begin here.
inline constexpr int first_descriptor = 1 << 30;
inline bool is_simulated(int fd) noexcept { return fd >= first_descriptor; }

/// As endpoint::address() writes it. Throws std::invalid_argument for what is no address of one machine.
std::string host_of(std::string_view text);

/// Something that arrives at a socket.
struct packet {
    /// open: the last of the three packets that make a connection; only now is there something to accept.
    enum class kind : std::uint8_t { open, data, end, reset };
    kind what = kind::data;
    std::string bytes{};
};

/// A datagram that has arrived.
struct letter {
    std::string bytes{};
    endpoint from{};
};

struct socket {
    enum class state : std::uint8_t { fresh, listening, connecting, connected };
    int fd = -1;
    state is = state::fresh;
    endpoint local{};
    endpoint remote{};
    bool closed = false;  // by its owner; kept while operations on it are in flight
    bool dead = false;  // its host has crashed
    bool is_v6 = false;  // of AF_INET6, which is told IPv4 addresses as ::ffff:10.0.0.1; here they are IPv4 ones
    bool unborn = false;  // its first packet has not arrived, so nobody can have it yet

    // a listener
    std::deque<int> pending{};  // connections that nobody has accepted
    std::size_t backlog = 0;

    // a socket for datagrams
    bool datagrams = false;
    std::deque<letter> letters{};
    std::size_t letter_bytes = 0;

    // a connection, or a pipe
    bool is_pipe = false;
    int peer = -1;  // the other end's descriptor, and -1 when it has gone
    std::string inbox{};
    std::deque<packet> arriving{};
    std::size_t bytes_arriving = 0;
    std::int64_t last_arrival_ns = 0;
    std::size_t held_back = 0;  // arrivals that a partition holds back
    bool end_arrived = false;
    bool reset = false;  // nothing more comes or goes; what has arrived may still be read
    bool read_shut = false;
    bool write_shut = false;
    int connect_tries = 0;
    std::size_t unanswered = 0;  // bytes that were sent to a host that has crashed
    std::int64_t heard_ns = 0;  // when something has last come from the other end, or was last answered by it
    bool watched = false;  // keep-alive has begun to ask
    int error = 0;  // SO_ERROR: told once

    std::deque<io_operation*> readers{};  // recv, recvmsg, read, accept
    std::deque<io_operation*> writers{};  // send, sendmsg, write, connect
    std::deque<io_operation*> pollers{};
    std::map<std::pair<int, int>, int> options{};
    /// A pipe, a pair or a Unix socket: there is no network in between.
    [[nodiscard]] bool is_local() const noexcept { return is_pipe || local.is_unix(); }
    [[nodiscard]] bool idle() const noexcept { return readers.empty() && writers.empty() && pollers.empty(); }
};

class network final : private belay::detail::sim_lookout {
    belay::detail::simulator& sim_;
    int next_fd_;

public:
    explicit network(belay::detail::simulator& s);
    network(const network&) = delete;
    network& operator=(const network&) = delete;
    ~network();
    /// Of the simulation that lives on this thread, or null.
    static network* current() noexcept;

    // ---- system calls: a result, or -1 with errno --------------------------------------------------------------
    int open(int domain, int type) noexcept;
    int pair(int ends[2]) noexcept;
    int pipe(int ends[2]) noexcept;
    int bind(int fd, const endpoint& where) noexcept;
    int connect_datagrams(int fd, const endpoint& peer) noexcept;
    int listen(int fd, int backlog) noexcept;
    int accept_now(int fd) noexcept;
    int shutdown(int fd, int how) noexcept;
    int close(int fd) noexcept;
    int set_option(int fd, int level, int name, int value) noexcept;
    int get_option(int fd, int level, int name, int& value) noexcept;
    std::optional<endpoint> local_of(int fd) noexcept;
    std::optional<endpoint> peer_of(int fd) noexcept;

    // ---- operations of a port ----------------------------------------------------------------------------------
    void submit(io_operation& op) noexcept;
    void cancel(io_operation& op) noexcept;

    // ---- control -----------------------------------------------------------------------------------------------
    sim_network control{*this};
    fault_options faults;
    link_options usual_link;
    std::map<std::pair<std::string, std::string>, link_options> links;
    std::set<std::pair<std::string, std::string>> cut;
    std::size_t buffer = 64 * 1024;
    std::string client = "127.0.0.1";
    std::string client_v6 = "::1";
    std::map<std::string, std::string, std::less<>> hosts{{"localhost", "127.0.0.1"}};  // by name
    std::map<io_opcode, std::deque<int>> scripted;
    std::set<std::string, std::less<>> crashed;  // hosts
    void separate(const std::string& host, const std::string& other);
    void release(const std::string& host, const std::string& other);
    void reset_all(const std::string& host);
    void crash(const std::string& host);
    void restart(const std::string& host);
    [[nodiscard]] std::size_t open_sockets() const noexcept;
    [[nodiscard]] std::size_t bytes_in_transit() const noexcept;
    static std::pair<std::string, std::string> between(std::string host, std::string other);
    static endpoint with_port(const endpoint& where, std::uint16_t port);
    static bool any_address(const endpoint& e) { return !e.is_unix() && (e.address() == "0.0.0.0" || e.address() == "::"); }

    // ---- for the disks -----------------------------------------------------------------------------------------
    disks files{*this, sim_};
    int take_number() noexcept { return next_fd_++; }
    void at(std::int64_t when_ns, const char* what, std::function<void()> then);
    [[nodiscard]] std::int64_t after(std::chrono::nanoseconds delay) const;
    std::int64_t drawn(std::chrono::nanoseconds most);
    bool injected(std::uint32_t rarity);
    std::size_t perhaps_fewer(std::size_t bytes, std::uint32_t rarity);

private:
    using result = std::optional<std::int32_t>;  // nothing: not yet
    /// Calls a function once its time has come.
    class happening final : public belay::detail::sim_event {
    public:
        happening(network& of, const char* what, std::function<void()> then) : of_{of}, what_{what}, then_{std::move(then)} {}
        void happen() noexcept override;
        [[nodiscard]] const char* what() const noexcept override { return what_; }
        std::list<happening>::iterator self;

    private:
        network& of_;
        const char* what_;
        std::function<void()> then_;
    };

    socket* find(int fd) noexcept;
    socket* live(int fd) noexcept;
    socket& make();
    void drop(socket& s);

    result attempt(io_operation& op, socket& s);
    result read(io_operation& op, socket& s, const iovec* parts, std::size_t count, int flags);
    result write(socket& s, const iovec* parts, std::size_t count);
    result write_to_nobody(socket& s, std::size_t bytes);
    void wait_for_answer(socket& s, std::size_t bytes);
    void give_up(socket& s);
    void watch(socket& s);
    void ask(int fd, int asked);
    [[nodiscard]] bool is_forgotten(const socket& s);
    [[nodiscard]] bool is_answer_due(const socket& s);
    [[nodiscard]] static std::int64_t idle_of(const socket& s);
    result accept(const io_operation& op, socket& s);
    result begin_connect(const io_operation& op, socket& s);
    [[nodiscard]] int events(socket& s, int mask);
    void progress(socket& s);
    void look() noexcept override;
    void run_queue(std::deque<io_operation*>& queue, socket& s);

    void knock(int fd);
    void answer(socket& s, int error);
    void send(socket& from, packet what);
    void answer_with_reset(socket& s);
    [[nodiscard]] static std::int64_t time_for(std::size_t bytes, const link_options& way) noexcept;
    void enqueue(socket& to, packet what, std::int64_t latency_ns);
    std::optional<std::int32_t> told_error(socket& s) noexcept;
    void arrive(int fd);
    void take_in(socket& s, packet what);
    void break_off(socket& s);
    [[nodiscard]] std::size_t room_towards(const socket& from) noexcept;
    [[nodiscard]] const link_options& link(const socket& s) const { return s.is_local() ? no_link : link(s.local, s.remote); }
    [[nodiscard]] const link_options& link(const endpoint& from, const endpoint& to) const;
    [[nodiscard]] bool is_cut(const socket& s) const { return is_cut(s.local, s.remote); }
    [[nodiscard]] bool is_cut(const endpoint& from, const endpoint& to) const;
    [[nodiscard]] bool has_crashed(const endpoint& e) const { return !e.is_unix() && crashed.contains(e.address()); }
    /// Nobody at the other end answers.
    [[nodiscard]] bool is_silent(const socket& s) const { return is_cut(s) || has_crashed(s.remote); }
    result send_letter(socket& from, const io_operation& op);
    result receive_letter(io_operation& op, socket& s);
    void post_letter(int sender, const endpoint& from, const endpoint& to, std::string bytes);
    void deliver_letter(int sender, const letter& what, const endpoint& to);
    void refuse_letter(int sender, const endpoint& from, const endpoint& to);
    [[nodiscard]] static endpoint destination(const endpoint& from, const endpoint& to);
    [[nodiscard]] static bool may_send(const socket& from, const endpoint& to);
    [[nodiscard]] endpoint sender_of(const socket& s);
    [[nodiscard]] endpoint client_at(endpoint::kind family, std::uint16_t port) const;
    [[nodiscard]] static endpoint told(const socket& to, const endpoint& e);
    [[nodiscard]] static int option(const socket& s, int level, int name, int otherwise = 0);
    [[nodiscard]] static bool takes_v4(const socket& s);
    std::uint16_t free_port();
    [[nodiscard]] bool is_taken(const endpoint& where, const socket& by) const;
    [[nodiscard]] static int fit(const socket& listener, const endpoint& where);
    socket* listener_for(const endpoint& where);
    [[nodiscard]] int refusal(const endpoint& where) const;

    std::list<happening> agenda_;  // what is still to happen; a simulation may end before
    std::vector<io_operation*> outside_;  // on descriptors of the operating system
    std::map<int, std::unique_ptr<socket>> sockets_;
    std::uint16_t next_port_ = first_port;
    static constexpr std::uint16_t first_port = 40'000;  // of those that are chosen for a program
    static constexpr std::uint16_t last_port = 60'000;
    const link_options no_link{};
};

}  // namespace belay::io::sim
