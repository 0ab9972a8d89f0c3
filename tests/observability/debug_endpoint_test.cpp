#include <belay/observability/debug_endpoint.hpp>

#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/tests/observability/http_client.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace belay {
namespace {

using namespace std::chrono_literals;

runtime_options quiet(unsigned workers) {
    runtime_options options;
    options.workers = workers;
    options.name = "shown";
    options.guardrails = "all=off";
    return options;
}

TEST(DebugEndpoint, ShowsMetricsInThePrometheusTextFormat) {
    runtime rt{quiet(1)};
    auto endpoint = serve_debug_endpoint(rt, "127.0.0.1:0");
    EXPECT_EQ(endpoint.address(), "127.0.0.1:" + std::to_string(endpoint.port()));
    auto answer = test::http_get(endpoint.port(), "/metrics");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos);
    EXPECT_NE(answer.find("# TYPE belay_tasks_live gauge\n"), std::string::npos);
    EXPECT_NE(answer.find("belay_io_backend_info{runtime=\"shown\",backend=\""), std::string::npos);
    EXPECT_NE(answer.find("belay_process_guardrail_reports_total{kind=\"lost_error\"} "), std::string::npos);
}

// Also while its host does something else: the endpoint has a thread of its own.
TEST(DebugEndpoint, ShowsALocalRuntimeThatNobodyDrives) {
    local_runtime rt{{.name = "embedded", .guardrails = "all=off"}};
    rt.spawn([]() -> task<> { co_return; });
    auto endpoint = serve_debug_endpoint(rt, "127.0.0.1:0");
    auto answer = test::http_get(endpoint.port(), "/metrics");
    EXPECT_NE(answer.find("belay_tasks_live{runtime=\"embedded\"} 1"), std::string::npos) << answer;
    rt.poll();
    answer = test::http_get(endpoint.port(), "/metrics");
    EXPECT_NE(answer.find("belay_tasks_live{runtime=\"embedded\"} 0"), std::string::npos) << answer;
}

TEST(DebugEndpoint, IsHealthyAndKnowsWhatItDoesNotHave) {
    runtime rt{quiet(1)};
    auto endpoint = serve_debug_endpoint(rt, "127.0.0.1:0");
    EXPECT_TRUE(test::http_get(endpoint.port(), "/healthz").ends_with("\r\n\r\nok\n"));
    EXPECT_TRUE(test::http_get(endpoint.port(), "/").starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(test::http_get(endpoint.port(), "/metricsx").starts_with("HTTP/1.1 404 "));
}

TEST(DebugEndpoint, AnswersWhileEveryWorkerIsStuck) {
    constexpr unsigned workers = 2;
    runtime rt{quiet(workers)};
    auto endpoint = serve_debug_endpoint(rt, "127.0.0.1:0");
    std::atomic<unsigned> stuck{0};
    std::atomic<bool> end{false};
    for (unsigned i = 0; i < workers; ++i)
        rt.spawn([&]() -> task<> {
            ++stuck;
            while (!end) std::this_thread::yield();  // holds its worker: no co_await
            co_return;
        });
    while (stuck < workers) std::this_thread::yield();
    auto answer = test::http_get(endpoint.port(), "/metrics");
    EXPECT_NE(answer.find("\nbelay_tasks_live{runtime=\"shown\"} 2\n"), std::string::npos) << answer;
    EXPECT_TRUE(test::http_get(endpoint.port(), "/healthz").ends_with("ok\n"));
    end = true;
    EXPECT_TRUE(rt.shutdown(60s).clean());
}

TEST(DebugEndpoint, MayOutliveItsRuntimeAndBeMoved) {
    std::optional<runtime> rt{quiet(1)};
    auto first = serve_debug_endpoint(*rt, "127.0.0.1:0");
    auto port = first.port();
    auto endpoint = std::move(first);
    rt.reset();
    auto answer = test::http_get(port, "/metrics");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(answer.find("runtime=\"shown\""), std::string::npos);
}

TEST(DebugEndpoint, AWrongAddressIsRefused) {
    runtime rt{quiet(1)};
    EXPECT_THROW((void)serve_debug_endpoint(rt, "9464"), std::invalid_argument);
}

}  // namespace
}  // namespace belay
