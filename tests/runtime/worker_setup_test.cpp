// What happens on a worker's thread before its first and after its last task: hooks, pinning, the thread's name.
#include <belay/runtime/detail/cpus.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <set>
#include <stdexcept>

namespace belay {
namespace {

using namespace test;

class WorkerSetup : public Suite {};

/// Who was called, by worker.
class calls {
public:
    void add(unsigned index) {
        std::scoped_lock guard(lock_);
        by_worker_.emplace_back(index, std::this_thread::get_id());
    }
    [[nodiscard]] std::set<std::pair<unsigned, std::thread::id>> all() const {
        std::scoped_lock guard(lock_);
        return {by_worker_.begin(), by_worker_.end()};
    }
    [[nodiscard]] std::size_t count() const {
        std::scoped_lock guard(lock_);
        return by_worker_.size();
    }

private:
    mutable std::mutex lock_;
    std::vector<std::pair<unsigned, std::thread::id>> by_worker_;
};

thread_local int set_by_the_hook = 0;

TEST_F(WorkerSetup, TheHooksRunOnceOnEachWorkersThread) {
    calls started, stopped;
    {
        auto o = options(3);
        o.on_worker_start = [&](unsigned index) { started.add(index); };
        o.on_worker_stop = [&](unsigned index) { stopped.add(index); };
        runtime rt{o};
        EXPECT_EQ(started.count(), 3U);  // the constructor waited for them
        EXPECT_EQ(stopped.count(), 0U);
    }
    EXPECT_EQ(started.count(), 3U);
    EXPECT_EQ(stopped.count(), 3U);
    EXPECT_EQ(started.all(), stopped.all());
}

TEST_F(WorkerSetup, TheStartHookRunsBeforeTheFirstTask) {
    auto o = options(2);
    o.on_worker_start = [](unsigned) { set_by_the_hook = 7; };
    runtime rt{o};
    rt.block_on([]() -> task<> {
        auto look = []() -> task<int> {
            co_await yield();
            co_return set_by_the_hook;
        };
        auto [a, b] = co_await when_all(look(), look());
        EXPECT_EQ(a, 7);
        EXPECT_EQ(b, 7);
    });
}

TEST_F(WorkerSetup, AnErrorOfTheStartHookFailsTheConstructorAndEndsTheOthers) {
    calls started, stopped;
    auto o = options(3);
    o.on_worker_start = [&](unsigned index) {
        if (index == 1) throw std::invalid_argument("no memory on this node");
        started.add(index);
    };
    o.on_worker_stop = [&](unsigned index) { stopped.add(index); };
    try {
        runtime rt{o};
        ADD_FAILURE() << "no error";
    } catch (const std::runtime_error& e) {
        std::string what = e.what();
        EXPECT_NE(what.find("on_worker_start threw on worker 1: no memory on this node"), std::string::npos) << what;
        EXPECT_THROW(std::rethrow_if_nested(e), std::invalid_argument);
    }
    EXPECT_EQ(started.count(), 2U);
    EXPECT_EQ(started.all(), stopped.all());
}

TEST_F(WorkerSetup, AnErrorOfTheStopHookIsReportedAsLost) {
    captured_reports captured;
    {
        runtime rt{{.workers = 1, .name = "test", .guardrails = "stall=off,error=log", .on_worker_stop = [](unsigned) {
                        throw std::runtime_error("too late");
                    }}};
    }
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(missing_part(reports[0]), "");
    EXPECT_EQ(reports[0].what,
              "nobody will see this error of the hook runtime_options::on_worker_stop: std::runtime_error: too late");
    EXPECT_EQ(reports[0].to_text().find("the task"), std::string::npos) << reports[0].to_text();
    EXPECT_EQ(reports[0].to_text().find("a task"), std::string::npos) << reports[0].to_text();
}

TEST_F(WorkerSetup, PinnedWorkersHaveOneCpuEachOfTheAllowedOnes) {
    auto allowed = detail::allowed_cpu_numbers();
    ASSERT_FALSE(allowed.empty());
    auto workers = static_cast<unsigned>(allowed.size()) + 1;  // one more: it shares the first CPU
    auto o = options(std::min(workers, 8U));
    o.pin_workers = true;
    runtime rt{o};
    unsigned index = 0;
    for (const auto& w : rt.core().workers) {
        cpu_set_t set;
        CPU_ZERO(&set);
        ASSERT_EQ(::pthread_getaffinity_np(w->thread.native_handle(), sizeof set, &set), 0);
        EXPECT_EQ(CPU_COUNT(&set), 1);
        EXPECT_TRUE(CPU_ISSET(allowed[index++ % allowed.size()], &set));
    }
    EXPECT_EQ(detail::allowed_cpu_numbers(), allowed);  // the host's thread is not bound
}

TEST_F(WorkerSetup, ThreadsAreNamedAfterThePrefixOrTheRuntime) {
    auto name_of = [](runtime& rt) {
        return rt.block_on([]() -> task<std::string> {
            char name[16]{};
            ::pthread_getname_np(::pthread_self(), name, sizeof name);
            co_return name;
        });
    };
    auto o = options(1);
    o.name = "payments";
    runtime plain{o};
    EXPECT_EQ(name_of(plain), "payments/0");
    o.thread_name = "pay-a-long-name";
    runtime named{o};
    EXPECT_EQ(name_of(named), "pay-a-long-/0");
}

// Nothing is done to a thread that is not the runtime's.
TEST_F(WorkerSetup, ALocalRuntimeLeavesTheHostsThreadAsItIs) {
    char before[16]{}, after[16]{};
    ::pthread_getname_np(::pthread_self(), before, sizeof before);
    auto cpus = detail::allowed_cpu_numbers();
    local_runtime rt{{.name = "intruder", .guardrails = "stall=off"}};
    rt.run_until([]() -> task<> { co_await yield(); });
    ::pthread_getname_np(::pthread_self(), after, sizeof after);
    EXPECT_STREQ(before, after);
    EXPECT_EQ(detail::allowed_cpu_numbers(), cpus);
}

}  // namespace
}  // namespace belay
