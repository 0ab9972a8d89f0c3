// A runtime's counters for Prometheus. Opt-in: this header includes prometheus-cpp's.
//
//     auto metrics = std::make_shared<belay::runtime_collectable>(runtime);
//     exposer.RegisterCollectable(metrics);
//
// Or let belay serve them: observability/debug_endpoint.hpp. Families, labels and meanings are in the tables of impl/families.cpp;
// the number of series depends on the number of workers and pools only.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <vector>

namespace belay {

class local_runtime;
class runtime;
namespace detail {
class runtime_core;
}

/// Everything one runtime counts; label `runtime` is its name, so runtimes in one registry need different names. Thread-safe;
/// works while every worker is stuck. May outlive the runtime, after which it collects nothing.
class runtime_collectable final : public prometheus::Collectable {
public:
    explicit runtime_collectable(belay::runtime& of);
    explicit runtime_collectable(belay::local_runtime& of);
    [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

private:
    std::weak_ptr<detail::runtime_core> core_;
};

/// What guardrails found in the whole process, runtimes and what happened outside them. Register it once.
class process_collectable final : public prometheus::Collectable {
public:
    [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace belay
