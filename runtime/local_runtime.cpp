#include <belay/runtime/local_runtime.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/runtime.hpp>

#include <stdexcept>

namespace belay {
namespace {

runtime_options with_threads_left_out(local_runtime_options&& own) {
    runtime_options options;
    options.workers = 1;
    options.name = std::move(own.name);
    options.io = own.io;
    options.takeover_tick = std::chrono::nanoseconds{0};  // there is no neighbour
    options.blocking_threads = own.blocking_threads;
    options.blocking_queue = own.blocking_queue;
    options.blocking_keep_alive = own.blocking_keep_alive;
    options.shutdown_grace = own.shutdown_grace;
    options.guardrails = std::move(own.guardrails);
    options.spin_us = own.spin_us;
    return options;
}

}  // namespace

local_runtime::local_runtime(local_runtime_options options)
    : core_{std::make_shared<detail::runtime_core>(with_threads_left_out(std::move(options)),
                                                   detail::runtime_core::flavour::hosted)} {
    core_->start();
}

local_runtime::~local_runtime() {
    if (detail::this_worker() != nullptr && &detail::this_worker()->core() == core_.get())
        detail::misuse("a local_runtime was destroyed by one of its own tasks: let its host destroy it");
    core_->shutdown(std::chrono::nanoseconds{core_->shutdown_grace_ns});
}

poll_result local_runtime::poll(poll_limits limits) {
    if (core_->stopping()) return {};
    poll_result result;
    {
        detail::host_turn turn{*core_, detail::host_call::poll};
        result.polls = turn.run_ready(limits.max_polls, limits.max_time.count());
        result.more = turn.end();
    }
    return result;
}

void local_runtime::run_for(std::chrono::nanoseconds time) {
    if (core_->stopping()) return;
    detail::host_turn turn{*core_, detail::host_call::run_for};
    turn.run_until(detail::saturating_add(detail::now_ns(), time.count()));
}

shutdown_report local_runtime::shutdown(std::chrono::nanoseconds grace) {
    if (detail::this_worker() != nullptr)
        detail::misuse(
            "shutdown() waits for tasks and was called on a worker, which would block it: call it from the thread of the host");
    return core_->shutdown(grace);
}

int local_runtime::native_handle() const noexcept { return core_->workers.front().port().wait_handle(); }
const std::string& local_runtime::name() const noexcept { return core_->name; }
runtime_metrics local_runtime::metrics() const { return core_->metrics(); }
std::string_view local_runtime::io_driver() const noexcept { return core_->io->name(); }
std::string_view local_runtime::io_driver_reason() const noexcept { return core_->io->reason(); }
scope& local_runtime::root_scope() const noexcept { return *core_->root; }

}  // namespace belay
