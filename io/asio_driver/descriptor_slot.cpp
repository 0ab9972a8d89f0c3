#include <belay/io/asio_driver/impl/asio_port.hpp>
#include <belay/io/asio_driver/impl/descriptor_slot.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <boost/asio/steady_timer.hpp>

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

namespace belay::detail {
namespace {

// An announcement after which everything still would block is normal now and then. In a row they mean that the reactor
// announces something else than what is waited for, again and again (POLLRDHUP, while unread data waits): from then on
// the clock decides, at first after 1 ms, later up to 64 ms.
constexpr unsigned fruitless_limit = 8;
constexpr unsigned longest_delay_log2 = 6;

/// Unique among the sockets of this boot; 0 for what is not a socket, or when the kernel does not tell (gVisor).
std::uint64_t socket_cookie(int fd) noexcept {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/// Whether more of the same is likely on this descriptor. The others are the user's own descriptors: data that comes
/// while nobody waits would wake a worker for nothing.
bool worth_keeping(io_opcode opcode) noexcept {
    return opcode != io_opcode::poll && opcode != io_opcode::read && opcode != io_opcode::write;
}

}  // namespace

struct descriptor_slot::on_ready {
    using allocator_type = handler_allocator<std::byte>;
    descriptor_slot* slot;
    asio_port* port;
    std::uint32_t generation;
    unsigned kind;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type{slot->memory_[kind]}; }
    void operator()(const boost::system::error_code& error) const noexcept {
        port->disarmed();
        slot->announced(*port, generation, static_cast<readiness>(1U << kind), -error.value());
    }
};

struct descriptor_slot::on_time {
    std::shared_ptr<boost::asio::steady_timer> timer;
    descriptor_slot* slot;
    asio_port* port;
    std::uint32_t generation;

    void operator()(const boost::system::error_code&) const noexcept {
        port->disarmed();
        slot->announced(*port, generation, by_the_clock, 0);
    }
};

template <class Predicate>
void descriptor_slot::unpark(operation_list& out, Predicate selected) noexcept {
    waiters_.extract(out, [&selected](io_operation& op) {
        if (!selected(op)) return false;
        op.driver_state.fetch_and(static_cast<std::uint8_t>(~waiting_bit), std::memory_order_relaxed);
        return true;
    });
}

void descriptor_slot::wait(io_operation& op, asio_port& port) noexcept {
    own_code mine;
    std::unique_lock guard{mutex_};
    fruitless_ = 0;
    std::int32_t error = park(op, port);
    guard.unlock();
    if (error != 0) port.finish_later(op, error);
}

void descriptor_slot::cancel(io_operation& op) noexcept {
    {
        own_code mine;
        std::scoped_lock guard{mutex_};
        // Without the bit somebody holds the operation who will see its stop_bit under this lock, or it has its result.
        if ((op.driver_state.load(std::memory_order_relaxed) & waiting_bit) == 0) return;
        operation_list alone;
        unpark(alone, [&op](io_operation& other) { return &other == &op; });
        give_up_if_idle();
    }
    asio_port::finish(op, -ECANCELED);
}

void descriptor_slot::leave(asio_port& port) noexcept {
    std::scoped_lock guard{mutex_};
    if (home_ == &port) drop();
}

void descriptor_slot::announced(asio_port& port, std::uint32_t generation, readiness kinds, std::int32_t error) noexcept {
    operation_list held;
    {
        std::scoped_lock guard{mutex_};
        if (generation != generation_) return;  // of a registration that is gone
        if (kinds == by_the_clock) timer_armed_ = false;
        armed_ = static_cast<readiness>(armed_ & ~kinds);
        unpark(held, [kinds](io_operation& op) { return kinds == by_the_clock || (awaited(op) & kinds) != 0; });
        if (held.empty()) return give_up_if_idle();
    }

    // Tried without the lock, since a send may take long, and finished without it, as asio_port.hpp says.
    operation_list again;
    operation_list ended;
    while (io_operation* op = held.pop()) {
        op->result = error != 0 ? error : attempt(*op);
        (op->result == not_yet ? again : ended).push(*op);
    }
    {
        std::scoped_lock guard{mutex_};
        fruitless_ = ended.empty() ? fruitless_ + 1 : 0;
        while (io_operation* op = again.pop()) {
            op->result = park(*op, port);
            if (op->result != 0) ended.push(*op);
        }
        // Before anybody goes on who could close the descriptor: its number may mean another file then.
        give_up_if_idle();
    }
    while (io_operation* op = ended.pop()) {
        port.completed_in_turn();
        asio_port::finish(*op, op->result);
    }
}

std::int32_t descriptor_slot::park(io_operation& op, asio_port& port) noexcept {
    // seq_cst: see descriptor_table.hpp.
    if ((op.driver_state.load(std::memory_order_seq_cst) & stop_bit) != 0) return -ECANCELED;
    if (std::int32_t error = enroll(op, port); error != 0) return error;
    op.driver_state.fetch_or(waiting_bit, std::memory_order_relaxed);  // changes under the lock only
    waiters_.push(op);
    home_->adopt(op);
    readiness kinds = awaited(op);
    if (kinds == by_the_clock || fruitless_ >= fruitless_limit) {
        arm_timer();
    } else {
        arm(kinds);
    }
    return 0;
}

std::int32_t descriptor_slot::enroll(const io_operation& op, asio_port& port) noexcept {
    if (registration_) {
        if (!waiters_.empty()) return 0;  // somebody waits there already; this operation joins
        if (home_ == &port && cookie_ != 0 && socket_cookie(fd_) == cookie_) return 0;
        drop();
    }
    int flags = ::fcntl(fd_, F_GETFL);
    boost::system::error_code error;
    registration_.emplace(port.context());
    registration_->assign(fd_, error);
    if (error) {
        registration_.reset();
        return -error.value();
    }
    home_ = &port;
    ++generation_;
    cookie_ = worth_keeping(op.request.opcode) ? socket_cookie(fd_) : 0;
    restore_flags_ = flags >= 0 && (flags & O_NONBLOCK) == 0 ? flags : -1;
    return 0;
}

void descriptor_slot::arm(readiness kinds) noexcept {
    // For every wait Asio repeats the epoll_ctl, and the kernel then looks at the state as it is: what became ready
    // between the try and here is announced at once, although the registration is edge-triggered.
    using wait_type = boost::asio::posix::descriptor_base::wait_type;
    constexpr wait_type types[readiness_kinds] = {wait_type::wait_read, wait_type::wait_write, wait_type::wait_error};
    for (unsigned kind = 0; kind < readiness_kinds; ++kind) {
        auto bit = static_cast<readiness>(1U << kind);
        if ((kinds & bit) == 0 || (armed_ & bit) != 0) continue;
        armed_ = static_cast<readiness>(armed_ | bit);
        home_->armed();
        registration_->async_wait(types[kind], on_ready{this, home_, generation_, kind});
    }
    // Asio's first wait makes the open file non-blocking, for everybody who shares it: the user's shell shares stdin.
    if (restore_flags_ >= 0) ::fcntl(fd_, F_SETFL, std::exchange(restore_flags_, -1));
}

void descriptor_slot::arm_timer() noexcept {
    if (timer_armed_) return;
    timer_armed_ = true;
    unsigned beyond = fruitless_ > fruitless_limit ? fruitless_ - fruitless_limit : 0;
    std::chrono::milliseconds delay{1 << std::min(beyond, longest_delay_log2)};
    auto timer = std::make_shared<boost::asio::steady_timer>(home_->context(), delay);
    home_->armed();
    timer->async_wait(on_time{timer, this, home_, generation_});
}

void descriptor_slot::give_up_if_idle() noexcept {
    if (waiters_.empty() && cookie_ == 0) drop();
}

void descriptor_slot::drop() noexcept {
    if (!registration_) return;
    ++generation_;
    registration_->release();  // its handlers, if any, are called and find the generation changed
    registration_.reset();
    home_ = nullptr;
    cookie_ = 0;
    armed_ = 0;
    timer_armed_ = false;
    restore_flags_ = -1;
}

}  // namespace belay::detail
