#include <belay/runtime/runtime.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <stdexcept>

namespace belay {

runtime::runtime(runtime_options options) : core_{std::make_shared<detail::runtime_core>(options)} { core_->start(); }

runtime::~runtime() {
    if (detail::this_worker() != nullptr && &detail::this_worker()->core() == core_.get())
        detail::misuse("a runtime was destroyed by one of its own tasks: let the thread that made it destroy it");
    core_->shutdown(std::chrono::nanoseconds{core_->shutdown_grace_ns});
}

shutdown_report runtime::shutdown(std::chrono::nanoseconds grace) {
    if (detail::this_worker() != nullptr)
        detail::misuse(
            "shutdown() waits for tasks and was called on a worker, which would block it: call it from the thread that made the "
            "runtime");
    return core_->shutdown(grace);
}

unsigned runtime::workers() const noexcept { return core_->regular_workers; }
const std::string& runtime::name() const noexcept { return core_->name; }
runtime_metrics runtime::metrics() const { return core_->metrics(); }
std::string_view runtime::io_driver() const noexcept { return core_->io->name(); }
std::string_view runtime::io_driver_reason() const noexcept { return core_->io->reason(); }
scope& runtime::root_scope() const noexcept { return *core_->root; }

namespace detail {

void check_may_block_on(runtime_core& core) {
    if (this_worker() != nullptr)
        misuse(
            "block_on() was called on a worker: it would block the thread that has to run the task. Write co_await instead, "
            "or spawn_blocking(...) around code that must block");
    if (core.forked())
        misuse(
            "block_on() was called in a child process of fork(): the runtime's threads stayed in the parent. Make a runtime in the "
            "child, or fork before the first one is made");
}

}  // namespace detail
}  // namespace belay
