#include <belay/io/asio_driver/asio_driver.hpp>
#include <belay/io/asio_driver/impl/asio_port.hpp>

#include <boost/system/system_error.hpp>

#include <string_view>
#include <system_error>
#include <utility>

#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#error "belay's Asio driver is what works without io_uring: build without BOOST_ASIO_HAS_IO_URING."
#endif

namespace belay::detail {
namespace {

class asio_driver final : public driver {
public:
    asio_driver(const driver_options& options, std::string reason) : reason_{std::move(reason)}, hosted_{options.hosted} {}

    [[nodiscard]] std::string_view name() const noexcept override { return "asio"; }
    [[nodiscard]] std::string_view reason() const noexcept override { return reason_; }
    [[nodiscard]] bool waits_for_files() const noexcept override { return false; }

    std::unique_ptr<driver_port> make_port(unsigned worker) override {
        try {
            return std::make_unique<asio_port>(table_, hosted_);
        } catch (const boost::system::system_error& error) {
            // Too few descriptors is all that is known to happen. A worker needs three.
            throw std::system_error(error.code().value(), std::system_category(),
                                    "belay: the epoll reactor of worker " + std::to_string(worker) +
                                        " needs three descriptors; raise RLIMIT_NOFILE (ulimit -n), or fs.file-max if the "
                                        "system ran out of them, or use fewer workers");
        }
    }

private:
    std::string reason_;
    bool hosted_;
    std::shared_ptr<descriptor_table> table_ = std::make_shared<descriptor_table>();
};

}  // namespace

std::unique_ptr<driver> make_asio_driver(const driver_options& options, std::string reason) {
    return std::make_unique<asio_driver>(options, reason.empty() ? "asked for by name" : std::move(reason));
}

}  // namespace belay::detail
