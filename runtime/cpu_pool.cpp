#include <belay/runtime/cpu_pool.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/cpus.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/simulation.hpp>

#include <stdexcept>

namespace belay {
namespace {

/// A pinned worker that makes the pool would be told of its own CPU alone.
unsigned usable_cpus(const detail::runtime_core& core) { return core.setup.cpus().empty() ? detail::allowed_cpus() : core.cpus; }

blocking_options checked(const detail::runtime_core& core, const cpu_pool_options& o) {
    if (o.max_queued == 0) throw std::invalid_argument("belay: cpu_pool_options.max_queued must be at least 1");
    if (o.keep_alive.count() < 0) throw std::invalid_argument("belay: cpu_pool_options.keep_alive must not be negative");
    if (o.max_wait && o.max_wait->count() <= 0)
        throw std::invalid_argument("belay: cpu_pool_options.max_wait must be positive; leave it empty for no limit");
    if (o.nice < 0 || o.nice > 19) throw std::invalid_argument("belay: cpu_pool_options.nice must be between 0 and 19");
    return {.name = o.name,
            .max_threads = o.threads != 0 ? o.threads : usable_cpus(core),
            .max_queued = o.max_queued,
            .keep_alive = o.keep_alive,
            .when_full = o.when_full,
            .max_wait = o.max_wait};
}

}  // namespace

cpu_pool::cpu_pool(runtime& rt, const cpu_pool_options& options) : cpu_pool{rt.core(), options} {}
cpu_pool::cpu_pool(local_runtime& rt, const cpu_pool_options& options) : cpu_pool{rt.core(), options} {}
cpu_pool::cpu_pool(simulation& sim, const cpu_pool_options& options) : cpu_pool{sim.core(), options} {}

cpu_pool::cpu_pool(detail::runtime_core& core, const cpu_pool_options& options)
    : core_{std::make_shared<detail::blocking_core>(
          checked(core, options),
          detail::pool_kind{.what = "cpu_pool", .niceness = options.nice, .cpus = core.setup.cpus(), .sim = core.sim.get()})} {
    core.add_pool(core_);
}

cpu_pool::~cpu_pool() { core_->close(detail::no_deadline); }

}  // namespace belay
