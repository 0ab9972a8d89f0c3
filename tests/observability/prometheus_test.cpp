#include <belay/observability/prometheus.hpp>

#include <belay/observability/impl/families.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/cpu_pool.hpp>
#include <belay/runtime/runtime.hpp>

#include <gtest/gtest.h>

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace belay {
namespace {

using families = std::vector<prometheus::MetricFamily>;

runtime_metrics sample_metrics() {
    runtime_metrics m;
    m.runtime = "web";
    m.backend = "uring";
    m.backend_reason = "works \"here\"";
    m.live_tasks = 5;
    m.injected = 3;
    m.ready_wait_ns = 250'000'000;
    m.workers.resize(2);
    m.workers[0].completed = 7;
    m.workers[0].busy_ns = 1'500'000'000;
    m.workers[0].queue_depth = 2;
    m.workers[1].queue_depth = 4;
    m.workers[0].io_completed_by_opcode[static_cast<std::size_t>(io_opcode::recv)] = 10;
    m.workers[1].io_completed_by_opcode[static_cast<std::size_t>(io_opcode::recv)] = 20;
    m.stop_latency = {{.scope = "sessions", .count = 3, .sum_ns = 1'500'000'000, .max_ns = 1'000'000'000}};
    m.pools.resize(1);
    m.pools[0].name = "db";
    m.pools[0].running = 3;
    m.pools[0].rejected = 4;
    m.pools[0].expired = 5;
    m.pools[0].run_ns = 2'000'000'000;
    return m;
}

guardrails::counts sample_counts() {
    guardrails::counts found;
    found.reports[0] = 4;
    found.stalls_hog = 3;
    return found;
}

std::string text_of(const families& f) { return prometheus::TextSerializer{}.Serialize(f); }

bool has_line(const std::string& text, const std::string& line) { return text.find("\n" + line + "\n") != std::string::npos; }

TEST(Families, ValuesStandUnderTheirNamesAndLabels) {
    auto text = text_of(detail::families_of(sample_metrics(), sample_counts()));
    for (const char* line : {
             R"(belay_tasks_live{runtime="web"} 5)",
             R"(belay_tasks_completed_total{runtime="web",worker="0",outcome="value"} 7)",
             R"(belay_worker_busy_seconds_total{runtime="web",worker="0"} 1.5)",
             R"(belay_run_queue_depth{runtime="web",queue="local"} 6)",
             R"(belay_run_queue_depth{runtime="web",queue="global"} 3)",
             R"(belay_ready_wait_seconds{runtime="web"} 0.25)",
             R"(belay_io_backend_info{runtime="web",backend="uring",reason="works \"here\""} 1)",
             R"(belay_io_completed_total{runtime="web",opcode="recv"} 30)",
             R"(belay_blocking_running{runtime="web",pool="db"} 3)",
             R"(belay_blocking_rejected_total{runtime="web",pool="db"} 4)",
             R"(belay_blocking_expired_total{runtime="web",pool="db"} 5)",
             R"(belay_blocking_run_seconds_total{runtime="web",pool="db"} 2)",
             R"(belay_stop_latency_seconds_count{runtime="web",scope="sessions"} 3)",
             R"(belay_stop_latency_seconds_sum{runtime="web",scope="sessions"} 1.5)",
             R"(belay_stop_latency_max_seconds{runtime="web",scope="sessions"} 1)",
             R"(belay_guardrail_reports_total{runtime="web",kind="blocked_worker"} 4)",
             R"(belay_worker_stalls_total{runtime="web",class="hog"} 3)",
         })
        EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
}

TEST(Families, EachHasOurPrefixAHelpTextAndANameOfItsOwn) {
    auto all = detail::families_of(sample_metrics(), sample_counts());
    auto process = detail::process_families(sample_counts());
    all.insert(all.end(), process.begin(), process.end());
    std::set<std::string> names;
    for (const auto& family : all) {
        EXPECT_TRUE(family.name.starts_with("belay_")) << family.name;
        EXPECT_FALSE(family.help.empty()) << family.name;
        EXPECT_TRUE(names.insert(family.name).second) << family.name;
        bool counter = family.type == prometheus::MetricType::Counter;
        EXPECT_EQ(counter, family.name.ends_with("_total")) << family.name;
    }
}

TEST(Families, PoolsOfOneNameAreSummed) {
    auto metrics = sample_metrics();
    metrics.pools.push_back(metrics.pools[0]);
    auto text = text_of(detail::families_of(metrics, sample_counts()));
    EXPECT_TRUE(has_line(text, R"(belay_blocking_running{runtime="web",pool="db"} 6)"));
    EXPECT_TRUE(has_line(text, R"(belay_blocking_expired_total{runtime="web",pool="db"} 10)"));
}

TEST(Families, NoSeriesComesTwice) {
    auto metrics = sample_metrics();
    metrics.pools.push_back(metrics.pools[0]);  // two pools of one name
    for (const auto& family : detail::families_of(metrics, sample_counts())) {
        std::set<std::vector<prometheus::ClientMetric::Label>> seen;
        for (const auto& sample : family.metric) EXPECT_TRUE(seen.insert(sample.label).second) << family.name;
    }
}

std::size_t series_of(const families& all) {
    std::size_t count = 0;
    for (const auto& family : all) count += family.metric.size();
    return count;
}

TEST(Families, TheNumberOfSeriesDoesNotDependOnWhatRuns) {
    auto busy = sample_metrics();
    auto idle = sample_metrics();
    idle.live_tasks = idle.injected = 0;
    for (auto& w : idle.workers) w = {};
    EXPECT_EQ(series_of(detail::families_of(busy, sample_counts())), series_of(detail::families_of(idle, {})));
}

TEST(RuntimeCollectable, CollectsWhileTheRuntimeLivesAndNothingAfterwards) {
    runtime_options options;
    options.workers = 2;
    options.name = "collected";
    std::optional<runtime> rt{options};
    runtime_collectable collectable{*rt};
    blocking_pool database{*rt, {.name = "db"}};
    cpu_pool cpu{*rt, {.name = "thumbnails"}};
    rt->block_on([]() -> task<> { co_return; });
    auto text = text_of(collectable.Collect());
    EXPECT_NE(text.find(R"(belay_tasks_live{runtime="collected"} )"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(belay_worker_polls_total{runtime="collected",worker="1"} )"), std::string::npos) << text;
    for (const char* pool : {"blocking", "db", "thumbnails"})
        EXPECT_NE(text.find(R"(belay_blocking_queue_depth{runtime="collected",pool=")" + std::string{pool} + R"("} 0)"),
                  std::string::npos)
            << text;
    rt.reset();
    EXPECT_TRUE(collectable.Collect().empty());
}

TEST(ProcessCollectable, HasNoRuntimeLabel) {
    auto text = text_of(process_collectable{}.Collect());
    EXPECT_NE(text.find(R"(belay_process_guardrail_reports_total{kind="task_leak"} )"), std::string::npos) << text;
}

}  // namespace
}  // namespace belay
