#include <belay/io/uring/uring_driver.hpp>

#include <belay/io/uring/kick.hpp>
#include <belay/io/uring/ring.hpp>
#include <belay/io/uring/uring_port.hpp>

#include <utility>

namespace belay::detail {

uring_driver::uring_driver(const driver_options& options, std::string reason)
    : reason_{std::move(reason)}, hosted_{options.hosted} {
    uring::enable_kick();
    rings_.reserve(options.workers);
    for (unsigned i = 0; i < options.workers; ++i)
        rings_.push_back(std::make_unique<uring::ring>(uring_port::sq_entries, uring_port::cq_entries));
}

uring_driver::~uring_driver() = default;

std::unique_ptr<driver_port> uring_driver::make_port(unsigned worker) {
    std::unique_ptr<uring::ring> ring;
    if (worker < rings_.size()) ring = std::exchange(rings_[worker], nullptr);
    if (!ring) ring = std::make_unique<uring::ring>(uring_port::sq_entries, uring_port::cq_entries);
    return std::make_unique<uring_port>(std::move(ring), hosted_);
}

}  // namespace belay::detail
