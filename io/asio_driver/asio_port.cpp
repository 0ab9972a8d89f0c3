#include <belay/io/asio_driver/impl/asio_port.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/stop_node.hpp>

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/post.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace belay::detail {
namespace {

using boost::asio::detail::epoll_reactor;

// Asio has no function that gives the descriptor which its reactor waits in, although it could not well be another one. An
// explicit instantiation may name a private member; if a later Boost renames it, this does not compile.
int epoll_descriptor(epoll_reactor& reactor) noexcept;
template <int epoll_reactor::* Descriptor>
struct reach_epoll_descriptor {
    friend int epoll_descriptor(epoll_reactor& reactor) noexcept { return reactor.*Descriptor; }
};
template struct reach_epoll_descriptor<&epoll_reactor::epoll_fd_>;

using time_point = std::chrono::steady_clock::time_point;

time_point to_time_point(std::int64_t ns) noexcept { return time_point{std::chrono::nanoseconds{ns}}; }

// epoll_wait() counts in milliseconds and rounds up. What is due sooner than this gets a timerfd, which is precise and
// costs a system call; for the rest a millisecond does not matter.
constexpr std::chrono::milliseconds precise_below{20};

/// recv and accept, when the last one said that there is nothing: the wait comes first.
bool try_first(const io_request& request) noexcept {
    return request.expect_ready || (request.opcode != io_opcode::recv && request.opcode != io_opcode::accept);
}

}  // namespace

struct asio_port::on_wake {
    using allocator_type = handler_allocator<std::byte>;
    asio_port* port;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type{port->wake_memory_}; }
    void operator()() const noexcept { port->disarmed(); }  // that it ran is all: wait() looks at `woken_`
};

struct asio_port::on_alarm {
    using allocator_type = handler_allocator<std::byte>;
    asio_port* port;
    std::int64_t due_ns;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type{port->alarm_memory_}; }
    void operator()(const boost::system::error_code&) const noexcept {
        port->disarmed();
        if (port->alarm_ns_ == due_ns) port->alarm_ns_ = 0;
    }
};

asio_port::hosted::hosted(boost::asio::io_context& context) : wake_fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    if (wake_fd < 0)
        throw std::system_error(errno, std::generic_category(),
                                "belay: no eventfd for a local_runtime; raise RLIMIT_NOFILE (ulimit -n) when it is EMFILE");
    try {
        auto& reactor = boost::asio::use_service<epoll_reactor>(context);
        reactor.init_task();  // from here on the io_context asks the reactor even if no descriptor is registered
        wait.watch(epoll_descriptor(reactor));
        wait.watch(wake_fd);
        wait.arm(host_wait::at_once);  // until somebody drives it
    } catch (...) {
        ::close(wake_fd);
        throw;
    }
}

asio_port::hosted::~hosted() { ::close(wake_fd); }

asio_port::asio_port(std::shared_ptr<descriptor_table> table, bool is_hosted)
    : table_{std::move(table)}, host_{is_hosted ? std::make_unique<hosted>(context_) : nullptr} {}

asio_port::~asio_port() { table_->leave(*this); }

// ---- operations ------------------------------------------------------------------------------------------------

void asio_port::submit(io_operation& op) noexcept {
    counters.add(counters.submitted);
    in_flight_.fetch_add(1, std::memory_order_relaxed);
    op.driver_data = this;
    if (op.request.opcode == io_opcode::nop) return finish_later(op, 0);
    if (op.request.fd < 0) return finish_later(op, -EBADF);
    descriptor_slot* slot = table_->get(op.request.fd);
    if (slot == nullptr) return finish_later(op, -ENOMEM);

    if (try_first(op.request)) {
        bool unwanted = (op.driver_state.load(std::memory_order_relaxed) & stop_bit) != 0;  // early, not needed
        std::int32_t result = unwanted ? -ECANCELED : attempt(op);
        if (result != not_yet) return finish_later(op, result);
    }
    slot->wait(op, *this);
}

void asio_port::cancel(io_operation& op) noexcept {
    op.driver_state.fetch_or(stop_bit, std::memory_order_seq_cst);  // see descriptor_table.hpp
    if (descriptor_slot* slot = table_->find(op.request.fd)) slot->cancel(op);
}

void asio_port::finish(io_operation& op, std::int32_t result) noexcept {
    asio_port& port = of(op);
    // Added and not stored, because a canceller finishes on its own thread.
    port.counters.completed.fetch_add(1, std::memory_order_relaxed);
    port.counters.completed_by_opcode[static_cast<std::size_t>(op.request.opcode)].fetch_add(1, std::memory_order_relaxed);
    // Before finish_io(), so that the task finds itself no longer counted. release, pairs with in_flight(): who sees 0 may
    // destroy the port, which is not touched from here on.
    port.in_flight_.fetch_sub(1, std::memory_order_release);
    op.finish_io(result);
}

void asio_port::finish_later(io_operation& op, std::int32_t result) noexcept {
    op.result = result;
    std::scoped_lock guard{tried_lock_};
    tried_.push(op);
    any_tried_.store(true, std::memory_order_relaxed);
}

void asio_port::adopt(io_operation& op) noexcept {
    asio_port& before = of(op);
    if (&before == this) return;
    op.driver_data = this;
    in_flight_.fetch_add(1, std::memory_order_relaxed);
    before.in_flight_.fetch_sub(1, std::memory_order_release);
}

// ---- turns -----------------------------------------------------------------------------------------------------

void asio_port::poll() noexcept {
    // A wake that came before this turn has done its work. acq_rel, pairs with wake(): what it announced is visible.
    woken_.exchange(false, std::memory_order_acq_rel);
    std::unique_lock turn{turn_, std::try_to_lock};
    if (!turn) return;  // a rescuer is doing it
    completed_in_turn_ = 0;
    // A turn that has results to hand out asks the kernel for more of them only now and then.
    if (finish_tried() != 0 && ++skipped_ <= reactor_skips) return;
    skipped_ = 0;
    run_ready();
}

void asio_port::wait(std::int64_t deadline_ns) noexcept {
    if (host_) return sleep_hosted(deadline_ns);
    std::scoped_lock turn{turn_};  // a rescuer is through with it soon
    completed_in_turn_ = 0;
    skipped_ = 0;
    if (finish_tried() == 0) sleep_until(deadline_ns);
    run_ready();
    // acquire, pairs with wake(): the worker sees what the waker did before. A wake() that comes later in the order of
    // exchanges finds false, and ends the next wait().
    woken_.exchange(false, std::memory_order_acq_rel);
}

void asio_port::prepare_wait(std::int64_t deadline_ns) noexcept {
    // A wake() that poll() has not answered may have lost its write to the eventfd to run_ready(). One that comes after this
    // look writes after it, too.
    host_->wait.arm(ready() ? host_wait::at_once : deadline_ns);
}

void asio_port::sleep_hosted(std::int64_t deadline_ns) noexcept {
    prepare_wait(deadline_ns);
    if (!ready()) {
        counters.add(counters.enters);
        pollfd handle{.fd = host_->wait.fd(), .events = POLLIN, .revents = 0};
        ::poll(&handle, 1, -1);  // EINTR: the worker comes again
    }
    poll();
}

bool asio_port::ready() const noexcept {
    return any_tried_.load(std::memory_order_relaxed) || woken_.load(std::memory_order_relaxed);
}

void asio_port::wake() noexcept {
    // release, pairs with wait(). When somebody else woke the port since its last wait(), that is enough.
    if (woken_.exchange(true, std::memory_order_acq_rel)) return;
    own_code mine;
    if (host_) {
        std::uint64_t one = 1;
        [[maybe_unused]] auto written = ::write(host_->wake_fd, &one, sizeof one);
        return;
    }
    armed();
    boost::asio::post(context_, on_wake{this});
}

bool asio_port::rescue() noexcept {
    std::unique_lock turn{turn_, std::try_to_lock};
    if (!turn) return false;
    completed_in_turn_ = 0;
    std::size_t tried = finish_tried();
    run_ready();
    return tried + completed_in_turn_ != 0;
}

std::size_t asio_port::finish_tried() noexcept {
    if (!any_tried_.load(std::memory_order_relaxed)) return 0;  // what was tried on this thread is seen
    operation_list tried;
    {
        std::scoped_lock guard{tried_lock_};
        tried.append(tried_);
        any_tried_.store(false, std::memory_order_relaxed);
    }
    std::size_t count = 0;
    for (; io_operation* op = tried.pop(); ++count) finish(*op, op->result);
    return count;
}

void asio_port::run_ready() noexcept {
    bool drain = host_ != nullptr;
    if (drain) {
        // What makes the handle readable must go, also when nobody waits for it: data on a connection that no task reads from.
        // The eventfd always, because the write of a wake() that poll() has answered may have come late.
        std::uint64_t count = 0;
        [[maybe_unused]] auto got = ::read(host_->wake_fd, &count, sizeof count);
    }
    // poll_one() makes the system call when it has run what the last one brought; with no handler left it would be in vain.
    if (!drain && armed_.load(std::memory_order_relaxed) == 0) return;
    counters.add(counters.enters);
    for (std::size_t handlers = 0; handlers < batch && (drain || armed_.load(std::memory_order_relaxed) != 0); ++handlers) {
        if (context_.poll_one() == 0) return;
        drain = false;
    }
}

void asio_port::sleep_until(std::int64_t deadline_ns) noexcept {
    // The reactor also wakes up for nothing that concerns us: for data that comes while nobody waits, for a wake that an
    // earlier wait() has answered.
    while (completed_in_turn_ == 0 && !woken_.load(std::memory_order_acquire)) {
        counters.add(counters.enters);
        if (deadline_ns == no_deadline) {
            context_.run_one();
            continue;
        }
        auto deadline = to_time_point(deadline_ns);
        auto now = std::chrono::steady_clock::now();
        if (now >= deadline) return;
        if (deadline - now < precise_below) set_alarm(deadline_ns);
        context_.run_one_until(deadline);
    }
}

void asio_port::set_alarm(std::int64_t deadline_ns) noexcept {
    if (alarm_ns_ == deadline_ns) return;
    alarm_ns_ = deadline_ns;
    alarm_.expires_at(to_time_point(deadline_ns));
    armed();
    alarm_.async_wait(on_alarm{this, deadline_ns});
}

}  // namespace belay::detail
