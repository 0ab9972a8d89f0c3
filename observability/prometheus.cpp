#include <belay/observability/prometheus.hpp>

#include <belay/observability/impl/families.hpp>
#include <belay/observability/impl/guardrail_observer.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>

namespace belay {

runtime_collectable::runtime_collectable(belay::runtime& of) : core_{of.core().weak_from_this()} {}
runtime_collectable::runtime_collectable(belay::local_runtime& of) : core_{of.core().weak_from_this()} {}

std::vector<prometheus::MetricFamily> runtime_collectable::Collect() const {
    auto core = core_.lock();
    if (!core) return {};
    const auto* mine = dynamic_cast<const detail::guardrail_observer*>(core->watcher.get());
    return detail::families_of(core->metrics(), mine != nullptr ? mine->counts() : guardrails::counts{});
}

std::vector<prometheus::MetricFamily> process_collectable::Collect() const {
    return detail::process_families(guardrails::guardrail_counts());
}

}  // namespace belay
