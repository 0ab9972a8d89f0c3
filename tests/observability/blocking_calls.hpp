// What the guardrail "block" reports of a task.
#pragma once

#include <belay/observability/report.hpp>
#include <belay/runtime/task.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace belay::test {

/// Of a task that does `work`, under that policy.
template <class F>
std::vector<report> blocking_calls_of(F work, const char* policy) {
    captured_reports captured;
    {
        runtime rt{with_policy(policy, 1)};
        rt.block_on([&]() -> task<> {
            work();
            co_return;
        });
    }  // a report is written when the task is back at its worker: then block_on may have returned
    for (const auto& r : captured.sink->of(guardrail::blocking_call)) EXPECT_EQ(missing_part(r), "");
    return captured.sink->of(guardrail::blocking_call);
}

/// The functions or system calls that were named, in their order.
inline std::string names_of(const std::vector<report>& blocking_calls) {
    std::string result;
    for (const auto& r : blocking_calls) {
        auto call = r.facts.at(0).text;
        result += (result.empty() ? "" : " ") + call.substr(0, call.find('('));
    }
    return result;
}

}  // namespace belay::test
