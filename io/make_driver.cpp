// Chooses the driver: what the program or BELAY_IO asks for, else io_uring if it works here, else the Asio reactor.
#include <belay/io/asio_driver/asio_driver.hpp>
#include <belay/io/uring/probe.hpp>
#include <belay/io/uring/uring_driver.hpp>
#include <belay/runtime/driver.hpp>

#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

namespace belay {
namespace {

constexpr const char* variable = "BELAY_IO";

struct choice {
    io_backend backend;
    std::string by;  // who chose, for the reason
};

choice choose(io_backend wanted) {
    if (wanted != io_backend::automatic) return {wanted, "asked for by runtime_options"};
    const char* text = std::getenv(variable);
    std::string_view value = text ? text : "";
    if (value.empty() || value == "auto") return {io_backend::automatic, ""};
    if (value == "uring") return {io_backend::uring, "asked for by BELAY_IO=uring"};
    if (value == "asio") return {io_backend::asio, "asked for by BELAY_IO=asio"};
    throw std::system_error(
        std::make_error_code(std::errc::invalid_argument),
        "belay: the environment variable BELAY_IO is '" + std::string(value) + "', but must be auto, uring or asio");
}

// Once per process: a program that starts a runtime for every request must not fill its log with it.
void warn_about_fallback(const std::string& reason) {
    static std::atomic<bool> warned{false};
    if (!warned.exchange(true, std::memory_order_relaxed))
        spdlog::warn("belay: io_uring is not available ({}); using the Asio (epoll) driver", reason);
}

[[noreturn]] void refuse(const choice& by, int error, const std::string& reason) {
    throw std::system_error(error, std::generic_category(), "belay: io_uring was " + by.by + ", but is not available: " + reason);
}

}  // namespace

std::unique_ptr<driver> make_driver(const driver_options& options) {
    choice by = choose(options.backend);
    if (by.backend == io_backend::asio) return detail::make_asio_driver(options, by.by);

    auto probed = detail::uring::probe();
    if (probed.works()) {
        try {
            return std::make_unique<detail::uring_driver>(options, by.by.empty() ? probed.reason : by.by + ", " + probed.reason);
        } catch (const std::system_error& e) {
            probed = {e.code().value(), e.what()};
        }
    }
    if (by.backend == io_backend::uring) refuse(by, probed.error, probed.reason);
    warn_about_fallback(probed.reason);
    return detail::make_asio_driver(options, "io_uring is not available: " + probed.reason);
}

}  // namespace belay
