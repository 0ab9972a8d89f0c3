#include <belay/runtime/detail/worker_setup.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/cpus.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/runtime.hpp>

#include <pthread.h>
#include <sched.h>

#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

namespace belay::detail {

worker_setup::worker_setup(const runtime_options& options)
    : thread_name_{options.thread_name.empty() ? options.name : options.thread_name},
      on_start_{options.on_worker_start},
      on_stop_{options.on_worker_stop} {
    if (!options.pin_workers) return;
    cpus_ = allowed_cpu_numbers();
    if (cpus_.empty())
        throw std::system_error(std::make_error_code(std::errc::not_supported),
                                "belay: runtime_options.pin_workers: the system does not tell which CPUs may be used");
}

bool worker_setup::begin(unsigned index, runtime_core& core) noexcept {
    char name[16];  // what the kernel keeps, with the zero
    std::snprintf(name, sizeof name, "%.11s/%u", thread_name_.c_str(), index);
    ::pthread_setname_np(::pthread_self(), name);
    if (cpus_.empty() && !on_start_) return true;
    bool stand_in = index >= core.regular_workers;
    std::exception_ptr error;
    try {
        if (!stand_in) pin(index);
        call_start_hook(index);
    } catch (...) {
        error = std::current_exception();
    }
    if (stand_in) {
        if (error) core.watcher->hook_failed("on_worker_start", index, error);
        return !error;
    }
    std::scoped_lock guard(lock_);
    ++begun_;
    if (error && !first_error_) first_error_ = error;
    began_.notify_all();
    return !error;
}

void worker_setup::pin(unsigned index) const {
    if (cpus_.empty()) return;
    unsigned cpu = cpus_[index % cpus_.size()];
    if (int error = run_on({&cpu, 1}); error != 0)
        throw std::system_error(error, std::generic_category(),
                                "belay: runtime_options.pin_workers: worker " + std::to_string(index) +
                                    " cannot be pinned to CPU " + std::to_string(cpu));
}

void worker_setup::call_start_hook(unsigned index) const {
    if (!on_start_) return;
    std::string what = "belay: runtime_options.on_worker_start threw on worker " + std::to_string(index);
    try {
        on_start_(index);
    } catch (const std::exception& e) {
        std::throw_with_nested(std::runtime_error(what + ": " + e.what()));
    } catch (...) {
        std::throw_with_nested(std::runtime_error(what));
    }
}

void worker_setup::end(unsigned index, runtime_core& core) noexcept {
    if (!on_stop_) return;
    try {
        on_stop_(index);
    } catch (...) {
        core.watcher->hook_failed("on_worker_stop", index, std::current_exception());
    }
}

void worker_setup::await_all(unsigned workers) {
    if (cpus_.empty() && !on_start_) return;
    std::unique_lock guard(lock_);
    began_.wait(guard, [&] { return begun_ == workers; });
    if (first_error_) std::rethrow_exception(first_error_);
}

}  // namespace belay::detail
