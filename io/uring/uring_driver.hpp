// The io_uring driver: one ring per worker. Private to io; made by make_driver().
#pragma once

#include <belay/runtime/driver.hpp>

#include <memory>
#include <string>
#include <vector>

namespace belay::detail {

namespace uring {
class ring;
}

class uring_driver final : public driver {
public:
    /// Makes the rings of all workers at once, so that a lack of lockable memory shows before the first worker runs and
    /// there can still be a fallback. Throws std::system_error whose text names limit and remedy.
    uring_driver(const driver_options& options, std::string reason);
    ~uring_driver() override;

    [[nodiscard]] std::string_view name() const noexcept override { return "uring"; }
    [[nodiscard]] std::string_view reason() const noexcept override { return reason_; }
    std::unique_ptr<driver_port> make_port(unsigned worker) override;

private:
    std::string reason_;
    bool hosted_;
    std::vector<std::unique_ptr<uring::ring>> rings_;  // by worker; null once its port has it
};

}  // namespace belay::detail
