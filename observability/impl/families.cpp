#include <belay/observability/impl/families.hpp>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace belay::detail {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using label = ClientMetric::Label;

constexpr double nanosecond = 1e-9;

// Collects the samples of one family at a time.
class family_writer {
public:
    explicit family_writer(std::vector<label> common) : common_{std::move(common)} {}

    void begin(const char* name, MetricType type, const char* help) { families_.push_back({name, help, type, {}}); }
    void add(double value, std::initializer_list<label> own = {}) {
        ClientMetric sample;
        sample.label = common_;
        sample.label.insert(sample.label.end(), own);
        if (families_.back().type == MetricType::Counter)
            sample.counter.value = value;
        else
            sample.gauge.value = value;
        families_.back().metric.push_back(std::move(sample));
    }
    void add_summary(std::uint64_t count, double sum, std::initializer_list<label> own) {
        ClientMetric sample;
        sample.label = common_;
        sample.label.insert(sample.label.end(), own);
        sample.summary.sample_count = count;
        sample.summary.sample_sum = sum;
        families_.back().metric.push_back(std::move(sample));
    }
    void add(std::uint64_t value, std::initializer_list<label> own = {}) { add(static_cast<double>(value), own); }
    std::vector<MetricFamily> take() { return std::move(families_); }

private:
    std::vector<label> common_;
    std::vector<MetricFamily> families_;
};

// A number that every worker has.
struct worker_row {
    const char* name;
    MetricType type;
    double (*value)(const worker_metrics&);
    const char* help;
};

template <auto Member>
double whole(const worker_metrics& w) {
    return static_cast<double>(w.*Member);
}

constexpr worker_row worker_rows[] = {
    {"belay_tasks_spawned_total", MetricType::Counter, whole<&worker_metrics::spawned>,
     "Tasks spawned, by the worker that spawned them. Branches of when_all and its kin are not counted."},
    {"belay_worker_polls_total", MetricType::Counter, whole<&worker_metrics::polls>, "Times that a task was resumed."},
    {"belay_worker_busy_seconds_total", MetricType::Counter,
     [](const worker_metrics& w) { return static_cast<double>(w.busy_ns) * nanosecond; },
     "Time inside tasks, estimated from samples."},
    {"belay_worker_parks_total", MetricType::Counter, whole<&worker_metrics::parks>,
     "Times that the worker went to sleep for want of work."},
    {"belay_worker_wakeups_total", MetricType::Counter, whole<&worker_metrics::wakeups>,
     "Times that the worker was woken by a notification."},
    {"belay_worker_steals_total", MetricType::Counter, whole<&worker_metrics::steals>,
     "Tasks taken from another worker's queues."},
    {"belay_worker_takeovers_total", MetricType::Counter, whole<&worker_metrics::takeovers>,
     "Times that a neighbour took over the worker's I/O, timers or queues while it was stuck in a task."},
    {"belay_budget_yields_total", MetricType::Counter, whole<&worker_metrics::budget_yields>,
     "Times that a task had to yield because its operations never suspended."},
    {"belay_timers_armed", MetricType::Gauge, whole<&worker_metrics::timers>, "Timers that wait to fire."},
    {"belay_timers_fired_total", MetricType::Counter, whole<&worker_metrics::timers_fired>, "Timers that fired."},
    {"belay_io_submitted_total", MetricType::Counter, whole<&worker_metrics::io_submitted>,
     "I/O operations handed to the driver."},
    {"belay_io_in_flight", MetricType::Gauge, whole<&worker_metrics::io_in_flight>,
     "I/O operations submitted and not completed."},
    {"belay_io_enters_total", MetricType::Counter, whole<&worker_metrics::io_enters>, "System calls made by the I/O driver."},
    {"belay_io_overflows_total", MetricType::Counter, whole<&worker_metrics::io_overflows>,
     "Times that completions did not fit into the completion queue."},
};

struct pool_row {
    const char* name;
    MetricType type;
    double (*value)(const blocking_pool_metrics&);
    const char* help;
};

template <auto Member>
double pool_whole(const blocking_pool_metrics& p) {
    return static_cast<double>(p.*Member);
}

constexpr pool_row pool_rows[] = {
    {"belay_blocking_threads", MetricType::Gauge, pool_whole<&blocking_pool_metrics::threads>, "Threads of a blocking pool."},
    {"belay_blocking_idle_threads", MetricType::Gauge, pool_whole<&blocking_pool_metrics::idle>,
     "Threads of a blocking pool that wait for work."},
    {"belay_blocking_running", MetricType::Gauge, pool_whole<&blocking_pool_metrics::running>,
     "Functions that run on a blocking pool's threads."},
    {"belay_blocking_queue_depth", MetricType::Gauge, pool_whole<&blocking_pool_metrics::queued>,
     "Functions that wait for a thread."},
    {"belay_blocking_waiting_tasks", MetricType::Gauge, pool_whole<&blocking_pool_metrics::waiting>,
     "Tasks that wait for room in the pool's queue."},
    {"belay_blocking_completed_total", MetricType::Counter, pool_whole<&blocking_pool_metrics::completed>,
     "Functions that ended."},
    {"belay_blocking_rejected_total", MetricType::Counter, pool_whole<&blocking_pool_metrics::rejected>,
     "Functions refused because the queue was full or the pool closed."},
    {"belay_blocking_expired_total", MetricType::Counter, pool_whole<&blocking_pool_metrics::expired>,
     "Functions that found no thread within max_wait and were not started."},
    {"belay_blocking_queue_wait_seconds_total", MetricType::Counter,
     [](const blocking_pool_metrics& p) { return static_cast<double>(p.queue_wait_ns) * nanosecond; },
     "Time that functions spent waiting for a thread."},
    {"belay_blocking_run_seconds_total", MetricType::Counter,
     [](const blocking_pool_metrics& p) { return static_cast<double>(p.run_ns) * nanosecond; }, "Time that functions ran."},
};

void add_outcomes(family_writer& out, const runtime_metrics& m) {
    out.begin("belay_tasks_live", MetricType::Gauge, "Tasks spawned and not ended.");
    out.add(m.live_tasks);
    out.begin("belay_tasks_completed_total", MetricType::Counter, "Tasks that ended, by worker and by outcome.");
    for (std::size_t i = 0; i < m.workers.size(); ++i) {
        const auto& w = m.workers[i];
        label worker{"worker", std::to_string(i)};
        out.add(w.completed, {worker, {"outcome", "value"}});
        out.add(w.failed, {worker, {"outcome", "error"}});
        out.add(w.stopped, {worker, {"outcome", "stopped"}});
    }
}

void add_stand_ins(family_writer& out, const runtime_metrics& m) {
    out.begin("belay_workers_in_place", MetricType::Gauge, "Workers inside block_in_place(), stand-ins included.");
    out.add(m.in_place);
    out.begin("belay_stand_ins", MetricType::Gauge, "Threads made to stand in for workers inside block_in_place().");
    out.add(m.stand_ins);
    out.begin("belay_stand_ins_on_duty", MetricType::Gauge,
              "Stand-ins that run tasks. Less than belay_workers_in_place for long: threads are missing.");
    out.add(m.stand_ins_on_duty);
}

void add_stops(family_writer& out, const runtime_metrics& m) {
    out.begin("belay_stop_latency_seconds", MetricType::Summary,
              "Time from the stop of a scope or timeout until the last task in it has ended, by the scope's name.");
    for (const auto& s : m.stop_latency)
        out.add_summary(s.count, static_cast<double>(s.sum_ns) * nanosecond, {{"scope", s.scope}});
    out.begin("belay_stop_latency_max_seconds", MetricType::Gauge,
              "The longest time that a stopped scope or timeout has taken to end, since the start of the runtime.");
    for (const auto& s : m.stop_latency) out.add(static_cast<double>(s.max_ns) * nanosecond, {{"scope", s.scope}});
}

void add_queues(family_writer& out, const runtime_metrics& m) {
    out.begin("belay_run_queue_depth", MetricType::Gauge,
              "Ready tasks that wait for a worker: in the workers' own queues, and in the global one.");
    std::uint64_t local = 0;
    for (const auto& w : m.workers) local += w.queue_depth;
    out.add(local, {{"queue", "local"}});
    out.add(m.injected, {{"queue", "global"}});
    out.begin("belay_ready_wait_seconds", MetricType::Gauge,
              "How long a ready task has waited for a worker at least, as the watchdog saw it lately; 0 with starve=off.");
    out.add(static_cast<double>(m.ready_wait_ns) * nanosecond);
    out.begin("belay_worker_queue_depth", MetricType::Gauge, "Ready tasks in one worker's own queues.");
    for (std::size_t i = 0; i < m.workers.size(); ++i) out.add(m.workers[i].queue_depth, {{"worker", std::to_string(i)}});
}

void add_io(family_writer& out, const runtime_metrics& m) {
    out.begin("belay_io_backend_info", MetricType::Gauge, "Always 1; the labels say which I/O driver runs and why.");
    out.add(1.0, {{"backend", m.backend}, {"reason", m.backend_reason}});
    out.begin("belay_io_completed_total", MetricType::Counter, "I/O operations completed, by kind, all workers together.");
    for (std::size_t op = 0; op < io_opcode_count; ++op) {
        std::uint64_t sum = 0;
        for (const auto& w : m.workers) sum += w.io_completed_by_opcode[op];
        out.add(sum, {{"opcode", std::string{to_string(static_cast<io_opcode>(op))}}});
    }
}

// Pools that share a name share their series: two samples with the same labels would spoil the whole scrape.
std::vector<blocking_pool_metrics> merged_by_name(const std::vector<blocking_pool_metrics>& pools) {
    std::vector<blocking_pool_metrics> result;
    for (const auto& pool : pools) {
        auto same = std::ranges::find(result, pool.name, &blocking_pool_metrics::name);
        if (same == result.end()) {
            result.push_back(pool);
            continue;
        }
        same->threads += pool.threads;
        same->idle += pool.idle;
        same->running += pool.running;
        same->queued += pool.queued;
        same->waiting += pool.waiting;
        same->completed += pool.completed;
        same->rejected += pool.rejected;
        same->expired += pool.expired;
        same->queue_wait_ns += pool.queue_wait_ns;
        same->run_ns += pool.run_ns;
    }
    return result;
}

void add_guardrails(family_writer& out, const guardrails::counts& found, const std::string& prefix) {
    auto name = [&](const char* rest) { return prefix + rest; };
    out.begin(name("guardrail_reports_total").c_str(), MetricType::Counter,
              "Times that a guardrail fired, reports that were not written included.");
    for (std::size_t i = 0; i < guardrail_count; ++i)
        out.add(found.reports[i], {{"kind", std::string{to_string(static_cast<guardrail>(i))}}});
    out.begin(name("guardrail_suppressed_total").c_str(), MetricType::Counter,
              "Times that a guardrail fired whose report was not written: repeated, or too many.");
    out.add(found.suppressed);
    out.begin(name("worker_stalls_total").c_str(), MetricType::Counter,
              "Polls longer than the threshold: hog computed, blocked slept in a system call, starved got no CPU from the host.");
    out.add(found.stalls_hog, {{"class", "hog"}});
    out.add(found.stalls_blocked, {{"class", "blocked"}});
    out.add(found.stalls_starved, {{"class", "starved"}});
}

}  // namespace

std::vector<MetricFamily> families_of(const runtime_metrics& metrics, const guardrails::counts& found) {
    family_writer out{{{"runtime", metrics.runtime}}};
    add_outcomes(out, metrics);
    for (const auto& row : worker_rows) {
        out.begin(row.name, row.type, row.help);
        for (std::size_t i = 0; i < metrics.workers.size(); ++i)
            out.add(row.value(metrics.workers[i]), {{"worker", std::to_string(i)}});
    }
    add_stand_ins(out, metrics);
    add_stops(out, metrics);
    add_queues(out, metrics);
    add_io(out, metrics);
    auto pools = merged_by_name(metrics.pools);
    for (const auto& row : pool_rows) {
        out.begin(row.name, row.type, row.help);
        for (const auto& pool : pools) out.add(row.value(pool), {{"pool", pool.name}});
    }
    add_guardrails(out, found, "belay_");
    return out.take();
}

std::vector<MetricFamily> process_families(const guardrails::counts& found) {
    family_writer out{{}};
    add_guardrails(out, found, "belay_process_");
    return out.take();
}

}  // namespace belay::detail
