#include <belay/runtime/retry.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

#include <limits>

namespace belay {
namespace {

using namespace test;

class Retry : public Suite {
protected:
    runtime rt{options()};
};

struct flaky : std::runtime_error {
    flaky() : std::runtime_error("flaky") {}
};

task<int> fail_until(int& attempts, int good) {
    if (++attempts < good) throw flaky{};
    co_await yield();
    co_return attempts;
}

TEST_F(Retry, ReturnsTheFirstSuccess) {
    rt.block_on([]() -> task<> {
        int attempts = 0;
        EXPECT_EQ(co_await retry({.attempts = 5, .first_delay = 1us}, [&] { return fail_until(attempts, 3); }), 3);
        EXPECT_EQ(attempts, 3);
        attempts = 0;
        EXPECT_EQ(co_await retry({}, [&] { return fail_until(attempts, 1); }), 1);
    });
}

TEST_F(Retry, RethrowsTheLastErrorAfterAllAttempts) {
    rt.block_on([]() -> task<> {
        int attempts = 0;
        auto fail = [&]() -> task<> {
            throw std::runtime_error(std::to_string(++attempts));
            co_return;
        };
        try {
            co_await retry({.attempts = 4, .first_delay = 0ns}, fail);
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "4");
        }
        EXPECT_EQ(attempts, 4);
        EXPECT_THROW(co_await retry({.attempts = 1, .first_delay = 1h, .max_delay = 1h}, fail), std::runtime_error);
        EXPECT_EQ(attempts, 5);
    });
}

TEST_F(Retry, TakesOperationsReferencesAndErrorsOfTheCallItself) {
    rt.block_on([]() -> task<> {
        gate open;
        open.open();
        co_await retry({}, [&] { return open.wait(); });
        int object = 0;
        auto self = [&]() -> task<int&> { co_return object; };
        auto& result = co_await retry({}, self);
        EXPECT_EQ(&result, &object);
        int calls = 0;
        auto refuse_once = [&]() -> task<int> {
            if (++calls == 1) throw flaky{};
            return [](int n) -> task<int> { co_return n; }(calls);
        };
        EXPECT_EQ(co_await retry({.first_delay = 0ns}, refuse_once), 2);
    });
}

TEST_F(Retry, AsksWhichErrorsAreWorthIt) {
    rt.block_on([]() -> task<> {
        int attempts = 0;
        retry_policy only_flaky{.attempts = 5, .first_delay = 0ns, .retry_if = error_is<std::bad_alloc, flaky>};
        EXPECT_EQ(co_await retry(only_flaky, [&] { return fail_until(attempts, 4); }), 4);
        attempts = 0;
        auto other = [&]() -> task<> {
            ++attempts;
            throw std::logic_error("not worth it");
            co_return;
        };
        EXPECT_THROW(co_await retry(only_flaky, other), std::logic_error);
        EXPECT_EQ(attempts, 1);
        // By default all but a stop.
        auto stopped = [&]() -> task<> {
            ++attempts;
            throw task_stopped{};
            co_return;
        };
        EXPECT_THROW(co_await retry({.first_delay = 0ns}, stopped), task_stopped);
        EXPECT_EQ(attempts, 2);
        // What the question itself throws is the outcome.
        retry_policy confused{.retry_if = [](const std::exception_ptr&) -> bool { throw std::out_of_range("predicate"); }};
        EXPECT_THROW(co_await retry(confused, other), std::out_of_range);
    });
}

TEST_F(Retry, TriesAgainAfterATimeoutOfOneAttempt) {
    rt.block_on([]() -> task<> {
        int attempts = 0;
        auto slow_once = [&]() -> task<int> {
            if (++attempts == 1) co_await never();
            co_return attempts;
        };
        retry_policy policy{.first_delay = 0ns, .retry_if = error_is<deadline_exceeded>};
        EXPECT_EQ(co_await retry(policy, [&] { return timeout(1ms, slow_once()); }), 2);
    });
}

task<std::vector<std::chrono::nanoseconds>> pauses_of(retry_policy policy) {
    std::vector<std::chrono::nanoseconds> out;
    policy.on_retry = [&](unsigned attempt, const std::exception_ptr& error, std::chrono::nanoseconds pause) {
        out.push_back(pause);
        EXPECT_EQ(attempt, out.size());
        EXPECT_TRUE(error_is<flaky>(error));
    };
    auto fail = []() -> task<> {
        throw flaky{};
        co_return;
    };
    EXPECT_THROW(co_await retry(policy, fail), flaky);
    co_return out;
}

TEST_F(Retry, ThePausesGrowToTheLongestAndAreSpreadOverAllOfIt) {
    rt.block_on([]() -> task<> {
        std::vector<double> sums(6);
        for (std::uint64_t seed = 0; seed < 200; ++seed) {
            auto pauses = co_await pauses_of({.attempts = 7, .first_delay = 10ns, .factor = 3, .max_delay = 200ns, .seed = seed});
            EXPECT_EQ(pauses.size(), 6U);
            std::array longest{10ns, 30ns, 90ns, 200ns, 200ns, 200ns};
            for (std::size_t i = 0; i < 6; ++i) {
                EXPECT_GE(pauses.at(i), 0ns);
                EXPECT_LT(pauses.at(i), longest.at(i));
                sums.at(i) += static_cast<double>(pauses.at(i).count()) / static_cast<double>(longest.at(i).count());
            }
        }
        // The mean of an even spread is a half (less what rounding takes); 200 seeds are within a tenth of it.
        for (double sum : sums) EXPECT_NEAR(sum / 200, 0.48, 0.1);
    });
}

TEST_F(Retry, TheSamePausesForTheSameSeedAndOthersWithout) {
    rt.block_on([]() -> task<> {
        retry_policy policy{.attempts = 5, .first_delay = 1us, .seed = 42};
        EXPECT_EQ(co_await pauses_of(policy), co_await pauses_of(policy));
        policy.seed.reset();
        EXPECT_NE(co_await pauses_of(policy), co_await pauses_of(policy));
    });
}

TEST_F(Retry, RethrowsAtOnceWhenThePauseWouldPassTheDeadline) {
    rt.block_on([]() -> task<> {
        int attempts = 0;
        auto fail = [&]() -> task<> {
            ++attempts;
            throw flaky{};
            co_return;
        };
        retry_policy patient{.attempts = 100, .first_delay = 1000h, .max_delay = 1000h, .seed = 1};
        EXPECT_THROW(co_await timeout(60s, retry(patient, fail)), flaky);
        EXPECT_EQ(attempts, 1);
        // A pause that fits is made.
        EXPECT_THROW(co_await timeout(1h, retry({.attempts = 3, .first_delay = 1us}, fail)), flaky);
        EXPECT_EQ(attempts, 4);
    });
}

TEST_F(Retry, AStopEndsThePauseAndNothingIsTriedAgain) {
    rt.block_on([]() -> task<> {
        std::atomic<int> attempts{0};
        std::atomic<bool> pausing{false};
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto fail = [&]() -> task<> {
                    ++attempts;
                    throw flaky{};
                    co_return;
                };
                auto note = [&](unsigned, const std::exception_ptr&, std::chrono::nanoseconds) { pausing = true; };
                co_await retry({.first_delay = 1000h, .max_delay = 1000h, .on_retry = note, .seed = 1}, fail);
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return pausing.load(); });
            s.request_stop();
        });
        EXPECT_EQ(attempts, 1);
    });
}

TEST_F(Retry, AStopIsSeenAlsoWithoutAPause) {
    rt.block_on([]() -> task<> {
        auto fail = []() -> task<> {
            throw flaky{};
            co_return;
        };
        retry_policy endless{.attempts = std::numeric_limits<unsigned>::max(), .first_delay = 0ns, .max_delay = 0ns};
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await retry(endless, fail); });
            co_await yield();
            s.request_stop();
        });
    });
}

TEST_F(Retry, NamesTheFieldThatIsWrong) {
    auto message = [](retry_policy policy) -> std::string {
        try {
            (void)retry(std::move(policy), []() -> task<> { co_return; });
        } catch (const std::invalid_argument& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_NE(message({.attempts = 0}).find("retry_policy.attempts"), std::string::npos);
    EXPECT_NE(message({.first_delay = -1ns}).find("retry_policy.first_delay"), std::string::npos);
    EXPECT_NE(message({.factor = 0.5}).find("retry_policy.factor"), std::string::npos);
    EXPECT_NE(message({.factor = std::numeric_limits<double>::quiet_NaN()}).find("retry_policy.factor"), std::string::npos);
    EXPECT_NE(message({.factor = std::numeric_limits<double>::infinity()}).find("retry_policy.factor"), std::string::npos);
    EXPECT_NE(message({.first_delay = 2s, .max_delay = 1s}).find("retry_policy.max_delay"), std::string::npos);
}

}  // namespace
}  // namespace belay
