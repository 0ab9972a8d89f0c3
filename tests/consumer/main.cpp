// The smallest program that needs the headers, the library and its dependencies: two tasks, a timer and a result.
#include <belay/belay.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

belay::task<int> answer() {
    co_await belay::sleep_for(1ms);
    co_return 42;
}

int main() {
    belay::runtime runtime;
    const int result = runtime.block_on([]() -> belay::task<int> { co_return co_await answer(); });
    std::printf("the installed belay says %d\n", result);
#ifdef EXPECT_GUARD
    if (!belay::guardrails::guard_attached()) return 1;
#endif
    return result == 42 ? 0 : 1;
}
