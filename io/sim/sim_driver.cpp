#include <belay/io/sim/sim_driver.hpp>

namespace belay {

std::unique_ptr<driver> make_simulated_driver(detail::simulator& sim) { return std::make_unique<detail::sim_driver>(sim); }

namespace detail {
namespace {

/// An operation that has its result. It becomes known when the seed says so.
class completion final : public sim_event {
public:
    completion(sim_port& port, io_operation& op, std::int32_t result) noexcept : port_{port}, op_{op}, result_{result} {}
    void happen() noexcept override {
        io_operation& op = op_;
        std::int32_t result = result_;
        port_.completed(op);
        delete this;
        op.finish_io(result);
    }
    [[nodiscard]] const char* what() const noexcept override { return op_.what(); }

private:
    sim_port& port_;
    io_operation& op_;
    std::int32_t result_;
};

}  // namespace

std::unique_ptr<driver_port> sim_driver::make_port(unsigned) { return std::make_unique<sim_port>(sim_, network_); }

void sim_port::submit(io_operation& op) noexcept {
    counters.add(counters.submitted);
    ++in_flight_;
    op.driver_data = this;
    network_.submit(op);
}

void sim_port::cancel(io_operation& op) noexcept { network_.cancel(op); }

void sim_port::finish_later(io_operation& op, std::int32_t result) noexcept {
    sim_.post(*new completion{*this, op, result}, sim_.clock().now_ns);
}

void sim_port::completed(const io_operation& op) noexcept {
    --in_flight_;
    counters.add(counters.completed);
    counters.add(counters.completed_by_opcode[static_cast<std::size_t>(op.request.opcode)]);
}

}  // namespace detail
}  // namespace belay
