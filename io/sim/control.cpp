// What a test asks of the simulated network.
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/simulation.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace belay::io {
using sim::host_of;

namespace {

void check(const link_options& link) {
    sim::check_delay("link_options::latency", link.latency);
    sim::check_delay("link_options::jitter", link.jitter);
}

}  // namespace

sim_network& sim_network::of(simulation& sim) {
    return static_cast<belay::detail::sim_driver&>(*sim.core().io).network().control;
}

void sim_network::set_faults(const fault_options& faults) noexcept { network_.faults = faults; }
void sim_network::set_link(const link_options& link) {
    check(link);
    network_.usual_link = link;
}
void sim_network::set_link(std::string_view from, std::string_view to, const link_options& link) {
    check(link);
    network_.links[sim::network::between(host_of(from), host_of(to))] = link;
}
void sim_network::set_buffer(std::size_t bytes) {
    if (bytes == 0) throw std::invalid_argument("belay: sim_network::set_buffer: a connection must hold at least one byte");
    network_.buffer = bytes;
}
void sim_network::connect_from(std::string_view from) {
    std::string address = host_of(from);
    (address.find(':') != address.npos ? network_.client_v6 : network_.client) = address;
}
void sim_network::add_host(std::string_view name, std::string_view address) {
    network_.hosts[std::string{name}] = host_of(address);
}

void sim_network::partition(std::string_view from, std::string_view to) { network_.separate(host_of(from), host_of(to)); }
void sim_network::heal(std::string_view from, std::string_view to) { network_.release(host_of(from), host_of(to)); }
void sim_network::reset_connections(std::string_view of) { network_.reset_all(host_of(of)); }
void sim_network::crash(std::string_view of) { network_.crash(host_of(of)); }
void sim_network::restart(std::string_view of) { network_.restart(host_of(of)); }
void sim_network::fail_next(io_opcode operation, int error) { network_.scripted[operation].push_back(error); }

std::size_t sim_network::open_sockets() const noexcept { return network_.open_sockets(); }
std::size_t sim_network::bytes_in_transit() const noexcept { return network_.bytes_in_transit(); }

namespace sim {

void check_delay(const char* field, std::chrono::nanoseconds delay) {
    if (delay < delay.zero())
        throw std::invalid_argument(std::string{"belay: "} + field + " is " + std::to_string(delay.count()) +
                                    " ns, and nothing arrives before it is sent");
}

std::pair<std::string, std::string> network::between(std::string host, std::string other) {
    if (other < host) std::swap(host, other);
    return {std::move(host), std::move(other)};
}

void network::separate(const std::string& host, const std::string& other) {
    const auto link = between(host, other);
    cut.insert(link);
    for (auto& [fd, s] : sockets_)
        if (between(s->local.address(), s->remote.address()) == link) watch(*s);
}

void network::release(const std::string& host, const std::string& other) {
    auto link = between(host, other);
    if (cut.erase(link) == 0) return;
    for (auto& [fd, s] : sockets_) {
        if (s->held_back == 0 || between(s->local.address(), s->remote.address()) != link) continue;
        for (std::size_t left = std::exchange(s->held_back, 0); left > 0; --left)
            at(sim_.clock().now_ns, "packet", [this, waiting = fd] { arrive(waiting); });
    }
}

void network::reset_all(const std::string& host) {
    std::vector<int> there;
    for (auto& [fd, s] : sockets_)
        if (s->is == socket::state::connected && !s->datagrams && s->local.address() == host) there.push_back(fd);
    for (int fd : there)
        if (socket* s = find(fd)) break_off(*s);
}

void network::crash(const std::string& host) {
    crashed.insert(host);
    std::vector<int> there;
    for (auto& [fd, s] : sockets_)
        if (!s->remote.is_unix() && !s->local.is_unix() && s->local.address() == host) there.push_back(fd);
    for (int fd : there) {
        socket* s = find(fd);
        if (s == nullptr) continue;
        for (int waiting : std::exchange(s->pending, {}))
            if (socket* connection = find(waiting)) connection->closed = true;
        s->dead = true;
        if (s->unborn) s->closed = true;
        for (io_operation* op : std::exchange(s->writers, {}))  // a connect among them is ended by no answer any more
            static_cast<sim_port*>(op->driver_data)->finish_later(*op, -ENETDOWN);
        progress(*s);
    }
    // What was on its way, and what waits for room, finds nobody any more.
    for (auto& [fd, s] : sockets_) {
        if (s->dead || s->datagrams || s->is != socket::state::connected || !has_crashed(s->remote)) continue;
        if (const socket* gone = find(s->peer); gone != nullptr && !gone->arriving.empty())
            wait_for_answer(*s, std::max<std::size_t>(gone->bytes_arriving, 1));
        run_queue(s->writers, *s);
        watch(*s);
    }
    std::erase_if(sockets_, [](const auto& entry) { return entry.second->dead && entry.second->closed && entry.second->idle(); });
    files.crash_host(host);
}

/// Whoever has sent something meanwhile learns that the connection is not known any more.
void network::restart(const std::string& host) {
    if (crashed.erase(host) == 0) return;
    for (auto& [fd, s] : sockets_)
        if (s->unanswered != 0 && s->remote.address() == host) {
            s->unanswered = 0;
            answer_with_reset(*s);
        }
    files.restart_host(host);
}

std::size_t network::open_sockets() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(sockets_, [](const auto& entry) { return !entry.second->closed && !entry.second->unborn; }));
}

std::size_t network::bytes_in_transit() const noexcept {
    std::size_t bytes = 0;
    for (const auto& [fd, s] : sockets_) bytes += s->inbox.size() + s->bytes_arriving;
    return bytes;
}

}  // namespace sim
}  // namespace belay::io
