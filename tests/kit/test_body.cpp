#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/thread_proc.hpp>
#include <belay/observability/report.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/standstill.hpp>
#include <belay/runtime/detail/task_list.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/sync/detail/lost_permits.hpp>
#include <belay/tests/kit/clock.hpp>
#include <belay/tests/kit/run_guard.hpp>
#include <belay/tests/kit/test_body.hpp>

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace belay::kit {
namespace {

std::atomic<runtime*> running{nullptr};

/// Ends the process if it is not destroyed in time, with what the runtime's tasks do.
class time_limit {
public:
    time_limit(runtime& of, std::chrono::seconds limit) : watch_{[this, &of, limit] { main(of, limit); }} {}
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;
    ~time_limit() {
        {
            std::scoped_lock guard(lock_);
            done_ = true;
        }
        changed_.notify_all();
        watch_.join();
    }

private:
    void main(runtime& of, std::chrono::seconds limit) {
        std::unique_lock guard(lock_);
        do {
            if (changed_.wait_for(guard, limit, [this] { return done_; })) return;
        } while (belay::detail::is_traced());  // somebody looks at it
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        std::fprintf(stderr, "belay: the test %s.%s has not ended after %lld s. Its tasks:\n%s",
                     test != nullptr ? test->test_suite_name() : "?", test != nullptr ? test->name() : "?",
                     static_cast<long long>(limit.count()), tasks_of(of).c_str());
        std::abort();
    }
    static std::string tasks_of(runtime& of) {
        constexpr std::int64_t patience_ns = 1'000'000'000;
        belay::detail::standstill still{of.core(), patience_ns};
        if (still) return belay::detail::list_tasks(of.core());
        std::string text = "  (they cannot be listed, because a worker has not come back from a poll for a second)\n";
        for (const auto& w : of.core().workers) {
            task_snapshot task;
            auto epoch = w->epoch();
            if ((epoch & 1U) == 0 || !belay::detail::snapshot_running(*w, epoch, task)) continue;
            text += "  worker " + std::to_string(w->index()) + " runs task " + std::to_string(task.id) + ' ' + task.name.data();
            if (task.depth != 0)
                text += std::string{" at "} + task.stack[0].file_name() + ':' + std::to_string(task.stack[0].line());
            text += '\n';
        }
        return text;
    }

    std::mutex lock_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread watch_;
};

class failing_sink final : public guardrails::report_sink {
public:
    void write(const report& what) noexcept override { ADD_FAILURE() << what.to_text(); }
};

}  // namespace

void run_test(const std::function<task<>()>& body, const test_options& options) {
    detail::use_clock();  // not as a system call each time
    std::size_t descriptors = detail::open_descriptors();
    std::size_t permits = belay::detail::lost_permits.load(std::memory_order_relaxed);
    auto before = guardrails::set_callback(std::make_shared<failing_sink>());
    {
        runtime rt{options.runtime};
        running.store(&rt, std::memory_order_release);
        time_limit limit{rt, options.limit};
        try {
            rt.block_on(body);
        } catch (const std::exception& error) {
            ADD_FAILURE() << "the body threw: " << error.what();
        } catch (...) {
            ADD_FAILURE() << "the body threw an exception of another type than std::exception";
        }
        EXPECT_EQ(rt.metrics().live_tasks, 0U) << "tasks are left that the body has spawned into the runtime";
        auto report = rt.shutdown(std::chrono::seconds{10});
        EXPECT_EQ(report.abandoned, 0U) << "tasks did not end when they were stopped";
        EXPECT_EQ(detail::left_over(rt.metrics()), "") << "left after all tasks were stopped";
        running.store(nullptr, std::memory_order_release);
    }
    guardrails::set_callback(std::move(before));
    if (std::size_t lost = belay::detail::lost_permits.load(std::memory_order_relaxed) - permits; lost != 0)
        ADD_FAILURE() << detail::permits_were_lost(lost);
    EXPECT_LE(detail::open_descriptors(), descriptors) << "descriptors were not closed";
}

runtime& test_runtime() {
    runtime* rt = running.load(std::memory_order_acquire);
    if (rt == nullptr) throw std::logic_error("belay: test_runtime() was called outside of a BELAY_TEST");
    return *rt;
}

namespace {

void skip(const std::string& why) { GTEST_SKIP() << why; }

/// Calls `runs` with options for which what EXPECT_* finds is a verdict on the run, in place of a failure of the test.
template <class F>
auto with_verdict(const explore_options& options, ::testing::TestPartResultArray& found, F& runs) {
    using reporter = ::testing::ScopedFakeTestPartResultReporter;
    explore_options own = options;
    int before_run = 0;
    own.check = [&]() -> std::string {
        std::string more = options.check ? options.check() : "";  // first, because it may expect something, too
        std::string text;
        for (int i = std::exchange(before_run, found.size()); i < found.size(); ++i) {
            const auto& result = found.GetTestPartResult(i);
            if (!result.failed()) continue;
            text += std::string{result.file_name() != nullptr ? result.file_name() : "?"} + ':' +
                    std::to_string(result.line_number()) + ": " + result.message() + '\n';
        }
        return text + more;
    };
    reporter kept{reporter::INTERCEPT_ONLY_CURRENT_THREAD, &found};
    return runs(own);
}

/// The same, and tells the failure, or that the body has skipped the test.
template <class F>
auto with_expectations(const explore_options& options, F runs) {
    ::testing::TestPartResultArray found;
    auto result = with_verdict(options, found, runs);
    if (result.failure) {
        ADD_FAILURE() << "after " << result.runs << " runs: " << result.failure->text();
        return result;
    }
    for (int i = 0; i < found.size(); ++i) {
        if (!found.GetTestPartResult(i).skipped()) continue;
        skip(found.GetTestPartResult(i).message());
        break;
    }
    return result;
}

}  // namespace

void run_simulated_test(const explore_options& options, const program& body) {
    with_expectations(options, [&](const explore_options& own) { return explore(own, body); });
}

examination run_everywhere_test(const explore_options& options, const program& body) {
    return with_expectations(options, [&](const explore_options& own) { return examine(own, body); });
}

}  // namespace belay::kit
