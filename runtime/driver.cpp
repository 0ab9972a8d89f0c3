#include <belay/runtime/driver.hpp>

#include <belay/runtime/detail/worker.hpp>

#include <cerrno>

namespace belay {

std::string_view to_string(io_opcode opcode) noexcept {
    switch (opcode) {
    case io_opcode::nop: return "nop";
    case io_opcode::poll: return "poll";
    case io_opcode::accept: return "accept";
    case io_opcode::connect: return "connect";
    case io_opcode::recv: return "recv";
    case io_opcode::send: return "send";
    case io_opcode::recvmsg: return "recvmsg";
    case io_opcode::sendmsg: return "sendmsg";
    case io_opcode::read: return "read";
    case io_opcode::write: return "write";
    }
    return "unknown";
}

namespace detail {

const std::int32_t io_operation::canceled_result = -ECANCELED;

bool io_operation::start() noexcept {
    port_ = &this_worker()->port();
    auto created = phase::created;
    // acq_rel: publishes port_ to request_stop(); see there.
    if (!phase_.compare_exchange_strong(created, phase::submitted, std::memory_order_acq_rel)) {
        complete(outcome::stopped);
        return true;
    }
    port_->submit(*this);  // it may be complete and gone when this returns
    return true;
}

void io_operation::request_stop(stop_walk&) noexcept {
    stop_requested_.store(true, std::memory_order_release);  // pairs with finish_io()
    auto created = phase::created;
    // acquire: if it was submitted, port_ is visible. The port may not have the operation yet: cancel() allows for that.
    if (phase_.compare_exchange_strong(created, phase::stopped_early, std::memory_order_acq_rel)) return;
    port_->cancel(*this);
}

const char* io_operation::what() const noexcept { return to_string(request.opcode).data(); }

}  // namespace detail
}  // namespace belay
