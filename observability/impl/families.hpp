// Turns a snapshot of a runtime's counters into Prometheus families. Pure.
#pragma once

#include <belay/observability/guardrails.hpp>
#include <belay/runtime/metrics.hpp>

#include <prometheus/metric_family.h>

#include <vector>

namespace belay::detail {

std::vector<prometheus::MetricFamily> families_of(const runtime_metrics& metrics, const guardrails::counts& found);
std::vector<prometheus::MetricFamily> process_families(const guardrails::counts& found);

}  // namespace belay::detail
