// The network of a simulation: TCP, UDP, Unix stream sockets and pipes in memory, with delays, partitions, resets, short transfers and
// hosts that crash.
//
//     belay::simulation sim{{.seed = 7}};
//     auto& net = io::sim_network::of(sim);
//     net.set_link({.latency = 5ms, .jitter = 2ms});
//     sim.block_on(program());                    // tcp_listener, tcp_stream and so on, unchanged
//
// Inside a simulation every socket, and what make_pipe() makes, is of this network: the operating system sees none of them. (Its
// own descriptors, or what a signal_set has, are tried before each step and never waited for.) An address is a host: any address
// may be bound, "10.0.0.1:80" and "10.0.0.2:80" are two machines, and whoever connects does so from 127.0.0.1 (::1), or from the
// host that connect_from() names. A socket that is bound to all addresses is of no host: it does not crash, and datagrams come from
// it as from who connects, so bind a server to the address of its machine. 0.0.0.0 as a destination is the machine that it comes
// from. Links have two ends and are alike in both directions. Pipes, pairs and Unix sockets are of no link, so they are neither
// slow nor cut nor reset. The path of a Unix socket is a name on a disk of sim_files: its directory must be there, and it stays
// when the listener has gone, until remove_file().
//
// Who may bind what, and which listener is found, is as in Linux, and so are the errors. What is not:
// - UDP sockets of IPv6 know IPv6 alone. A broadcast, for which 255.255.255.255 is the only address, gets to one of those who could
//   have it.
// - listen_options::reuse_address counts as set, and no port needs a permission.
// - A connection that both ends have shut down still says who its peer is.
// - A partition breaks no connection, however long it lasts, unless keep-alive is on: what is sent waits.
#pragma once

#include <belay/runtime/driver.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace belay {
class simulation;
}

namespace belay::io {

namespace sim {
class network;
}

/// How bytes get from one host to another. A change concerns what is sent afterwards.
struct link_options {
    std::chrono::nanoseconds latency{0};  ///< one way
    std::chrono::nanoseconds jitter{0};  ///< at most so much more, by the seed; what was sent first arrives first all the same
    std::uint64_t bytes_per_second = 0;  ///< of each direction of each connection, and of each datagram by itself; 0: no limit
};

/// What goes wrong by the seed: one operation in so many. 0: none. Each is a choice of the schedule, so one that is not needed for a failure
/// is left out when the run is made simpler.
struct fault_options {
    std::uint32_t short_transfer = 4;  ///< a read or write that moves less than it could; not what a pipe takes whole (PIPE_BUF)
    std::uint32_t reset = 0;  ///< a read or write that finds the connection reset
    std::uint32_t refused = 0;  ///< a connect that finds nobody who listens
    std::uint32_t aborted = 0;  ///< an accept that finds the connection gone (ECONNABORTED)
    std::uint32_t no_descriptor = 0;  ///< an accept for which the process has no descriptor (EMFILE)
    std::uint32_t lost = 0;  ///< a datagram that does not arrive
    std::uint32_t duplicated = 0;  ///< a datagram that arrives twice; by a link's jitter they overtake each other, too
};

/// Belongs to its simulation, and is used on its thread: before block_on(), inside its tasks, or in on_step. Hosts are addresses, in any
/// form that endpoint::parse() reads. Throws std::invalid_argument for what is none, or is that of no one machine (0.0.0.0).
class sim_network {
public:
    static sim_network& of(simulation& sim);
    sim_network(const sim_network&) = delete;
    sim_network& operator=(const sim_network&) = delete;

    void set_faults(const fault_options& faults) noexcept;
    /// Of all links, but for those that have been set by themselves. Throws std::invalid_argument for a time that is negative.
    void set_link(const link_options& link);
    void set_link(std::string_view host, std::string_view other, const link_options& link);
    /// How many bytes a connection holds for each of its ends before a writer waits; 64 KiB.
    void set_buffer(std::size_t bytes);
    /// Where connections come from that are made from now on.
    void connect_from(std::string_view host);
    /// What io::resolve, and tcp_stream::connect with a name, find for it. No other name is known but "localhost", which is 127.0.0.1.
    void add_host(std::string_view name, std::string_view address);

    /// Nothing arrives any more between the two, in either direction: what is sent waits, and a connect that nobody answers ends with ETIMEDOUT
    /// after 127 s.
    void partition(std::string_view host, std::string_view other);
    /// What has waited arrives.
    void heal(std::string_view host, std::string_view other);
    /// All connections of the host end with ECONNRESET, at both ends.
    void reset_connections(std::string_view host);
    /// The machine is gone without a word, and its disks (see sim_files) with it. What its tasks still do with its sockets fails,
    /// with ENETDOWN (an accept with EINVAL); they are its program's last breath, so stop their scope. Who sends to it has no
    /// answer, as behind a partition, and ETIMEDOUT after 924 s. Who only waits for it waits for ever, unless
    /// tcp_stream::set_keep_alive() ends that (ETIMEDOUT; ECONNRESET once the host is there again).
    void crash(std::string_view host);
    /// It is there again, with no connection and nobody who listens: that is its program's affair. Who has sent to it what it had not
    /// got before it crashed is reset.
    void restart(std::string_view host);
    /// The next operation of this kind, on whatever socket or file, ends with this error (EINTR, EIO, EMFILE and so on) and does nothing. Several
    /// calls line up.
    void fail_next(io_opcode operation, int error);

    [[nodiscard]] std::size_t open_sockets() const noexcept;
    /// Bytes that are under way, or have arrived and were not read.
    [[nodiscard]] std::size_t bytes_in_transit() const noexcept;

private:
    friend class sim::network;
    explicit sim_network(sim::network& n) noexcept : network_{n} {}
    sim::network& network_;
};

}  // namespace belay::io
