#include <belay/io/error.hpp>
#include <belay/io/resolve.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/runtime/detail/blocking_job.hpp>
#include <belay/runtime/yield.hpp>

#include <netdb.h>

#include <cerrno>
#include <coroutine>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

namespace belay::io {
namespace {

/// What getaddrinfo said. The vector may be empty although there was no error: addresses of other families.
struct lookup_result {
    std::vector<endpoint> found;
    int error = 0;         // EAI_*
    int system_error = 0;  // errno, for EAI_SYSTEM
};

struct free_list {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

const char* text_or_null(const std::string& text) noexcept { return text.empty() ? nullptr : text.c_str(); }

lookup_result look_up(const std::string& host, const std::string& service, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* head = nullptr;
    lookup_result result;
    result.error = ::getaddrinfo(text_or_null(host), text_or_null(service), &hints, &head);
    if (result.error == EAI_SYSTEM) result.system_error = errno;
    if (result.error != 0) return result;
    const std::unique_ptr<addrinfo, free_list> list{head};
    for (const addrinfo* entry = head; entry != nullptr; entry = entry->ai_next)
        if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6)
            result.found.push_back(endpoint::from_sockaddr(entry->ai_addr, entry->ai_addrlen));
    return result;
}

/// The lookup on a thread of the pool. Owns all that it uses: the task that asked may be gone before it ends.
class lookup_job final : public belay::detail::abandonable_job {
public:
    lookup_job(std::string host, std::string service) noexcept : host_{std::move(host)}, service_{std::move(service)} {}
    void execute() noexcept override {
        try {
            result = look_up(host_, service_, 0);
        } catch (const std::bad_alloc&) {
            result.error = EAI_MEMORY;
        }
    }
    lookup_result result;

private:
    std::string host_;
    std::string service_;
};

class lookup_awaiter final : public belay::detail::abandonable_operation, public belay::detail::native_awaitable {
public:
    explicit lookup_awaiter(std::unique_ptr<lookup_job> lookup) noexcept : lookup_{lookup.release()} {}

    static bool await_ready() noexcept { return false; }
    template <task_promise P>
    bool await_suspend(std::coroutine_handle<P> task) noexcept {
        return suspend_for(lookup_, *task.promise().rec);
    }
    lookup_result await_resume() {
        if (refused_) {
            throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again),
                                    "belay: resolve: the blocking pool is closed, or cannot make its first thread (see "
                                    "ulimit -u and the cgroup's pids.max)"};
        }
        return std::move(lookup_->result);
    }
    [[nodiscard]] const char* what() const noexcept override { return "resolve"; }

private:
    lookup_job* lookup_;  // job_ owns it
};

[[noreturn]] void throw_lookup_error(const lookup_result& result, const std::string& host, const std::string& service) {
    const std::string what = "belay: resolve host '" + host + "', service '" + service + "'";
    if (result.error == EAI_SYSTEM) throw std::system_error{result.system_error, std::system_category(), what};
    throw std::system_error{result.error, resolver_category(), what};
}

bool has_zero_byte(const std::string& text) noexcept { return text.find('\0') != text.npos; }

}  // namespace

task<std::vector<endpoint>> resolve(std::string host, std::string service) {
    lookup_result result{.found = {}, .error = EAI_NONAME};
    if (has_zero_byte(host) || has_zero_byte(service)) throw_lookup_error(result, host, service);
    // Numbers need neither a file nor the network.
    if (!host.empty()) result = look_up(host, service, AI_NUMERICHOST | AI_NUMERICSERV);
    if (result.error == EAI_NONAME) {
        if (sim::network* simulated = sim::network::current()) [[unlikely]] {
            co_await yield();
            auto known = simulated->hosts.find(host);
            if (known != simulated->hosts.end()) result = look_up(known->second, service, AI_NUMERICHOST);
        } else {
            result = co_await lookup_awaiter{std::make_unique<lookup_job>(host, service)};
        }
    }
    if (result.error == 0 && result.found.empty()) result.error = EAI_NONAME;
    if (result.error != 0) throw_lookup_error(result, host, service);
    co_return std::move(result.found);
}

}  // namespace belay::io
