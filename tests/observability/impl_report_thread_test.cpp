#include <belay/observability/impl/report_thread.hpp>

#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace belay {
namespace {

using detail::process_report_thread;

TEST(ReportThread, WorksInOrderOnAThreadOfItsOwn) {
    std::vector<int> seen;
    std::thread::id where;
    for (int i = 0; i < 100; ++i)
        process_report_thread().run([&, i] {
            where = std::this_thread::get_id();
            seen.push_back(i);
        });
    process_report_thread().wait();
    ASSERT_EQ(seen.size(), 100U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
    EXPECT_NE(where, std::this_thread::get_id());
}

TEST(ReportThread, WhatIsDoneHoldsNothingAnyMore) {
    auto held = std::make_shared<int>();
    process_report_thread().run([held] {});
    process_report_thread().wait();
    EXPECT_EQ(held.use_count(), 1);
}

TEST(ReportThread, DoesNotWaitForItself) {
    bool inner = false;
    process_report_thread().run([&] {
        process_report_thread().run([&] { inner = true; });
        process_report_thread().wait();
        EXPECT_TRUE(inner);
    });
    process_report_thread().wait();
    EXPECT_TRUE(inner);
}

TEST(ReportThread, AChildDoesTheWorkItself) {
    process_report_thread().run([] {});
    pid_t child = ::fork();
    if (child == 0) {
        bool done = false;
        process_report_thread().run([&] { done = true; });
        process_report_thread().wait();
        ::_exit(done ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

/// Its first report is written when release() has been called.
class slow_sink final : public guardrails::report_sink {
public:
    void write(const report& /*what*/) noexcept override {
        in_time_ = future_.wait_for(std::chrono::seconds{5}) == std::future_status::ready;
    }
    void release() { released_.set_value(); }
    [[nodiscard]] bool in_time() const noexcept { return in_time_; }

private:
    std::promise<void> released_;
    std::shared_future<void> future_{released_.get_future()};
    bool in_time_ = false;
};

TEST(ReportThread, AWorkerGoesOnWhileItsReportIsWritten) {
    auto slow = std::make_shared<slow_sink>();
    auto before = guardrails::set_sink(slow);
    {
        runtime rt{test::with_policy("all=off,lock=log", 1)};
        rt.block_on([&]() -> task<> {
            sync_mutex lock;
            {
                sync_lock guard{lock};
                co_await yield();  // the mistake
            }
            slow->release();  // not reached by a worker that waits for the sink
        });
    }
    guardrails::set_sink(before);
    EXPECT_TRUE(slow->in_time());
}

TEST(ReportThread, AReportWithoutAddressesHoldsNobodyUpEither) {
    auto slow = std::make_shared<slow_sink>();
    auto before = guardrails::set_sink(slow);
    {
        runtime rt{test::with_policy("all=off,error=log", 1)};
        rt.block_on(with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
            s.spawn([]() -> task<> {
                throw std::runtime_error("down");
                co_return;
            });
            while (s.size() != 0) co_await yield();
            slow->release();
        }));
    }
    guardrails::set_sink(before);
    EXPECT_TRUE(slow->in_time());
}

TEST(ReportThread, ASinkMayAskForAllToBeWritten) {
    struct asking final : guardrails::report_sink {
        void write(const report& /*what*/) noexcept override {
            guardrails::flush();
            ++written;
        }
        std::atomic<int> written{0};
    };
    auto sink = std::make_shared<asking>();
    auto before = guardrails::set_sink(sink);
    {
        runtime rt{test::with_policy("all=off,lock=log", 1)};
        rt.block_on([]() -> task<> {
            sync_mutex lock;
            sync_lock guard{lock};
            co_await yield();
        });
    }
    guardrails::set_sink(before);
    EXPECT_EQ(sink->written, 1);
}

/// What was found before a misuse may be its cause.
TEST(ReportThreadDeathTest, AMisuseEndsTheProcessWhenAllIsWritten) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH(
        {
            std::promise<void> misused;
            process_report_thread().run([waits = std::make_shared<std::shared_future<void>>(misused.get_future())] {
                waits->wait_for(std::chrono::milliseconds{500});  // meanwhile misuse() is reached
                std::fputs("and a report\n", stderr);
            });
            detail::misuse("for a test");
        },
        "MISUSE: for a test\n(.|\n)*and a report");
}

/// A sink that never returns holds up neither those who wait for it, for ever, nor whoever replaces it.
TEST(ReportThread, NobodyWaitsForEver) {
    std::promise<void> released;
    auto stuck = std::make_shared<std::shared_future<void>>(released.get_future());
    process_report_thread().run([stuck] { stuck->wait(); });
    process_report_thread().wait(std::chrono::milliseconds{1});
    released.set_value();
    process_report_thread().wait();
    EXPECT_EQ(stuck.use_count(), 1);
}

}  // namespace
}  // namespace belay
