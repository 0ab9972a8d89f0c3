// What BELAY_TEST and BELAY_TEST_SIM do around a body.
#pragma once

#include <belay/runtime/runtime.hpp>
#include <belay/runtime/task.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/explore.hpp>

#include <chrono>
#include <functional>

namespace belay::kit {

struct test_options {
    runtime_options runtime{.workers = 2, .name = "test", .blocking_threads = 4, .guardrails = "all=callback,error=log"};
    /// Then the test is ended with abort(), and with the tasks of its runtime, what they wait on, and what its workers run; but not while a
    /// debugger is attached.
    std::chrono::seconds limit{60};
};

/// Runs the body on a runtime of its own. Fails the test if the body throws; if afterwards tasks, I/O operations, timers or descriptors are
/// left; and if a guardrail found anything (lost errors are only logged). Not on a worker.
void run_test(const std::function<task<>()>& body, const test_options& options = {});

/// The runtime of the running BELAY_TEST. Throws std::logic_error outside of one.
runtime& test_runtime();

/// Explores the body. What EXPECT_* finds in a run fails that run; the failures of the simplest run that was found are told, with its
/// schedule. A GTEST_SKIP in a function that the body calls skips the test, if no run has failed.
void run_simulated_test(const explore_options& options, const program& body);
/// The same, and stops it and lets it fail everywhere: see examine() in everywhere.hpp.
examination run_everywhere_test(const explore_options& options, const program& body);

}  // namespace belay::kit
