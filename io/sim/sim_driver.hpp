// The driver of a simulation: the network is in memory, and what happens in it is a step of the simulation.
#pragma once

#include <belay/io/sim/network.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/driver.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace belay::detail {

/// One for each simulated worker. All of them are the same thread's, which never waits in a port.
class sim_port final : public driver_port {
public:
    sim_port(simulator& sim, io::sim::network& net) noexcept : sim_{sim}, network_{net} {}

    void bind_owner() noexcept override {}
    void submit(io_operation& op) noexcept override;
    void cancel(io_operation& op) noexcept override;
    void poll() noexcept override {}
    void wait(std::int64_t) noexcept override {}
    [[nodiscard]] bool ready() const noexcept override { return false; }
    void wake() noexcept override {}
    bool rescue() noexcept override { return false; }
    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }
    [[nodiscard]] int wait_handle() const noexcept override { return -1; }
    void prepare_wait(std::int64_t) noexcept override {}

    /// The operation has its result, and the task hears of it in a later step.
    void finish_later(io_operation& op, std::int32_t result) noexcept;
    /// It hears of it now.
    void completed(const io_operation& op) noexcept;

private:
    simulator& sim_;
    io::sim::network& network_;
    std::size_t in_flight_ = 0;
};

class sim_driver final : public driver {
public:
    explicit sim_driver(simulator& sim) : sim_{sim}, network_{sim} {}
    [[nodiscard]] std::string_view name() const noexcept override { return "sim"; }
    [[nodiscard]] std::string_view reason() const noexcept override { return "a simulation"; }
    std::unique_ptr<driver_port> make_port(unsigned worker) override;
    [[nodiscard]] io::sim::network& network() noexcept { return network_; }

private:
    simulator& sim_;
    io::sim::network network_;
};

}  // namespace belay::detail
