#include <belay/observability/debug_endpoint.hpp>

#include <belay/observability/impl/http_server.hpp>
#include <belay/observability/impl/log_line.hpp>
#include <belay/observability/prometheus.hpp>

#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

namespace belay {

class debug_endpoint::impl {
public:
    template <class Runtime>
    impl(Runtime& of, std::string_view address)
        : metrics_{of}, server_{address, [this](const detail::http_request& request) { return answer(request); }} {
        detail::log_line(detail::log_level::info, "belay: debug endpoint on http://" + server_.address() + "/metrics");
    }
    [[nodiscard]] const detail::http_server& server() const noexcept { return server_; }

private:
    [[nodiscard]] detail::http_response answer(const detail::http_request& request) const {
        if (request.path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", scrape()};
        if (request.path == "/healthz") return {200, "text/plain; charset=utf-8", "ok\n"};
        return {404, "text/plain; charset=utf-8", "not here; there is /metrics and /healthz\n"};
    }
    [[nodiscard]] std::string scrape() const {
        auto families = metrics_.Collect();
        auto process = process_collectable{}.Collect();
        families.insert(families.end(), std::make_move_iterator(process.begin()), std::make_move_iterator(process.end()));
        return prometheus::TextSerializer{}.Serialize(families);
    }

    runtime_collectable metrics_;
    detail::http_server server_;  // last: its thread uses the others
};

debug_endpoint::debug_endpoint(std::unique_ptr<impl> server) noexcept : impl_{std::move(server)} {}
debug_endpoint::debug_endpoint(debug_endpoint&& other) noexcept = default;
debug_endpoint& debug_endpoint::operator=(debug_endpoint&& other) noexcept = default;
debug_endpoint::~debug_endpoint() = default;

std::uint16_t debug_endpoint::port() const noexcept { return impl_->server().port(); }
const std::string& debug_endpoint::address() const noexcept { return impl_->server().address(); }

debug_endpoint serve_debug_endpoint(runtime& of, std::string_view address) {
    return debug_endpoint{std::make_unique<debug_endpoint::impl>(of, address)};
}
debug_endpoint serve_debug_endpoint(local_runtime& of, std::string_view address) {
    return debug_endpoint{std::make_unique<debug_endpoint::impl>(of, address)};
}

}  // namespace belay
