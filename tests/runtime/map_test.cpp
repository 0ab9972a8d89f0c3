#include <belay/observability/guardrails.hpp>
#include <belay/runtime/map.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <deque>
#include <list>
#include <numeric>
#include <ranges>
#include <sstream>

namespace belay {
namespace {

using namespace test;

class Map : public Suite {
protected:
    runtime rt{options()};
};

std::vector<int> numbers(int n) {
    std::vector<int> out(static_cast<std::size_t>(n));
    std::iota(out.begin(), out.end(), 0);
    return out;
}

/// How many run at a time, and the most that ever did.
struct meter {
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    class inside {
    public:
        explicit inside(meter& m) noexcept : meter_{m} {
            int n = ++m.now;
            for (int seen = m.most; n > seen && !m.most.compare_exchange_weak(seen, n);) {}
        }
        inside(const inside&) = delete;
        inside& operator=(const inside&) = delete;
        ~inside() { --meter_.now; }

    private:
        meter& meter_;
    };
};

task<int> twice(int n) {
    if (n % 3 == 0) co_await yield();
    co_return 2 * n;
}

TEST_F(Map, ReturnsTheResultsInTheOrderOfTheItems) {
    rt.block_on([]() -> task<> {
        for (int limit : {1, 2, 7, 1000}) {
            auto results = co_await map(numbers(100), at_most(limit), twice);
            EXPECT_EQ(results.size(), 100U);
            for (int i = 0; i < 100; ++i) EXPECT_EQ(results.at(static_cast<std::size_t>(i)), 2 * i);
        }
    });
}

TEST_F(Map, KeepsTheOrderWhenTheLastEndFirst) {
    rt.block_on([]() -> task<> {
        std::array<gate, 4> gates;
        auto wait = [&](int i) -> task<int> {
            co_await gates[static_cast<std::size_t>(i)].wait();
            if (i > 0) gates[static_cast<std::size_t>(i) - 1].open();
            co_return i;
        };
        gates[3].open();
        EXPECT_EQ(co_await map(numbers(4), at_most(4), wait), numbers(4));
    });
}

TEST_F(Map, OfAnEmptyRangeIsEmptyAndCallsNothing) {
    rt.block_on([]() -> task<> {
        auto unused = [](int) -> task<int> {
            ADD_FAILURE() << "called";
            co_return 0;
        };
        EXPECT_TRUE((co_await map(std::vector<int>{}, at_most(4), unused)).empty());
        auto nothing = []() -> async_generator<int> { co_return; };
        EXPECT_TRUE((co_await map(nothing(), at_most(4), unused)).empty());
    });
}

TEST_F(Map, ReachesTheLimitAndNeverExceedsIt) {
    rt.block_on([]() -> task<> {
        for (int limit : {1, 3, 16}) {
            meter running;
            gate open;
            auto work = [&](int) -> task<int> {
                meter::inside here{running};
                if (running.now == limit) open.open();  // nobody gets past before all places are taken
                co_await open.wait();
                co_await yield();
                co_return 0;
            };
            co_await map(numbers(200), at_most(limit), work);
            EXPECT_EQ(running.most, limit);
        }
    });
}

TEST_F(Map, TakesAnItemOnlyWhenThereIsAPlaceForIt) {
    rt.block_on([]() -> task<> {
        std::atomic<int> ahead{0}, ended{0};
        auto source = [](std::atomic<int>& a, std::atomic<int>& e) -> async_generator<int> {
            for (int i = 0; i < 300; ++i) {
                EXPECT_LE(++a - e, 5) << "asked for an item without a place for it";
                if (i % 5 == 0) co_await yield();
                co_yield i;
            }
        };
        auto work = [&](int i) -> task<int> {
            co_await yield();
            ++ended;  // before the place is free
            co_return i;
        };
        EXPECT_EQ(co_await map(source(ahead, ended), at_most(5), work), numbers(300));
        EXPECT_EQ(ended, 300);
    });
}

TEST_F(Map, TakesAnInputRangeWithoutReadingAhead) {
    rt.block_on([]() -> task<> {
        std::istringstream text{"1 2 3 4"};
        auto work = [](int n) -> task<int> { co_return n * 10; };
        EXPECT_EQ(co_await map(std::views::istream<int>(text), at_most(2), work), (std::vector{10, 20, 30, 40}));

        std::istringstream fails{"1 2 3 4"};
        auto at_two = [](int n) -> task<int> {
            if (n == 2) throw std::runtime_error("two");
            co_return n;
        };
        EXPECT_THROW(co_await map(std::views::istream<int>(fails), at_most(1), at_two), std::runtime_error);
        int left = 0;
        fails >> left;
        EXPECT_EQ(left, 3);
    });
}

struct tally {
    int copies = 0, moves = 0;
};
struct item {
    explicit item(tally& t) : counts{&t} {}
    item(const item& other) : counts{other.counts} { ++counts->copies; }
    item(item&& other) noexcept : counts{other.counts} { ++counts->moves; }
    item& operator=(const item&) = delete;
    item& operator=(item&&) = delete;
    ~item() = default;
    tally* counts;
};

TEST_F(Map, CopiesTheItemsOfAnLvalueOnceAndThoseOfAnRvalueNever) {
    rt.block_on([]() -> task<> {
        tally counts;
        std::deque<item> items;
        for (int i = 0; i < 3; ++i) items.emplace_back(counts);
        auto work = [](item) -> task<int> { co_return 1; };
        co_await map(items, at_most(1), work);
        EXPECT_EQ(counts.copies, 3);
        co_await map(std::views::all(items), at_most(1), work);  // a view shows somebody else's items
        EXPECT_EQ(counts.copies, 6);
        counts = {};
        co_await map(std::move(items), at_most(1), work);
        EXPECT_EQ(counts.copies, 0);
    });
}

TEST_F(Map, AnRvalueRangeLivesUntilTheEndAndAnLvalueIsReferredTo) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        std::list<counted> given;
        given.emplace_back(live);
        std::list<counted> kept;
        kept.emplace_back(live);
        auto work = [&](counted) -> task<int> {
            co_await yield();
            co_return live.load();
        };
        auto lazy = map(std::move(given), at_most(2), work);
        EXPECT_EQ((co_await std::move(lazy)).size(), 1U);
        EXPECT_EQ(live, 1);  // the range that was given away has gone
        kept.emplace_back(live);
        auto of_kept = map(kept, at_most(2), work);
        kept.emplace_back(live);  // seen: the range is looked at when the task runs
        EXPECT_EQ((co_await std::move(of_kept)).size(), 3U);
        EXPECT_EQ(live, 3);
    });
    EXPECT_EQ(live, 0);
}

TEST_F(Map, MovesItemsAndResultsThatCannotBeCopied) {
    rt.block_on([]() -> task<> {
        std::vector<std::unique_ptr<int>> items;
        for (int i = 0; i < 10; ++i) items.push_back(std::make_unique<int>(i));
        auto next = [](std::unique_ptr<int> p) -> task<std::unique_ptr<int>> {
            ++*p;
            co_await yield();
            co_return p;
        };
        auto results = co_await map(std::move(items), at_most(3), next);
        for (int i = 0; i < 10; ++i) EXPECT_EQ(*results.at(static_cast<std::size_t>(i)), i + 1);
    });
}

TEST_F(Map, ReturnsReferencesAsWrappersAndTakesOperations) {
    rt.block_on([]() -> task<> {
        std::array<int, 3> objects{1, 2, 3};
        auto self = [](int* p) -> task<int&> { co_return *p; };
        auto pointers = objects | std::views::transform([](int& i) { return &i; });
        auto results = co_await map(pointers, at_most(2), self);
        static_assert(std::is_same_v<decltype(results), std::vector<std::reference_wrapper<int>>>);
        EXPECT_EQ(&results.at(2).get(), &objects[2]);

        gate open;
        open.open();
        resumer other;
        auto foreign = [&](int n) { return other.elsewhere(n); };
        EXPECT_EQ(co_await map(numbers(5), at_most(2), foreign), numbers(5));
        auto flags = co_await map(numbers(5), at_most(2), [](int n) -> task<bool> { co_return n % 2 == 0; });
        EXPECT_EQ(flags, (std::vector<bool>{true, false, true, false, true}));
    });
}

TEST_F(Map, CopiesWhatAGeneratorYieldsByReference) {
    rt.block_on([]() -> task<> {
        auto source = []() -> async_generator<const std::string&> {
            for (char c = 'a'; c < 'f'; ++c) co_yield std::string(40, c);
        };
        auto length = [](std::string s) -> task<std::string> {
            co_await yield();
            co_return s;
        };
        auto results = co_await map(source(), at_most(3), length);
        for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(results.at(i), std::string(40, static_cast<char>('a' + i)));
    });
}

TEST_F(Map, AGeneratorThatIsReferredToGoesOnAfterwards) {
    rt.block_on([]() -> task<> {
        auto count = []() -> async_generator<int> {
            for (int i = 0;; ++i) co_yield i;
        };
        auto source = count();
        auto fail_at_two = [](int n) -> task<int> {
            if (n == 2) throw std::runtime_error("two");
            co_return n;
        };
        EXPECT_THROW(co_await map(source, at_most(1), fail_at_two), std::runtime_error);
        EXPECT_EQ(co_await source.next(), 3);
    });
}

// ---- errors ----------------------------------------------------------------------------------------------------

TEST_F(Map, TheFirstErrorStopsTheOthersAndIsRethrownWhenTheyHaveEnded) {
    std::atomic<int> live{0}, begun{0};
    rt.block_on([&]() -> task<> {
        auto work = [&](int i) -> task<int> {
            counted local{live};
            ++begun;
            if (i < 3) co_await never();
            co_await until([&] { return live == 4; });
            throw std::runtime_error("fourth");
            co_return 0;
        };
        try {
            co_await map(numbers(1000), at_most(4), work);
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "fourth");
            EXPECT_EQ(live, 0);
        }
        EXPECT_EQ(begun, 4);
    });
}

TEST_F(Map, AnErrorEndsItEvenWhereNothingElseSuspends) {
    rt.block_on([]() -> task<> {
        auto work = [](int i) -> task<int> {
            if (i == 10) throw std::runtime_error("ten");
            co_return i;
        };
        EXPECT_THROW(co_await map(std::views::iota(0), at_most(3), work), std::runtime_error);
    });
}

TEST_F(Map, AFurtherErrorIsReported) {
    captured_reports captured;
    std::atomic<int> arrived{0};
    std::uint_least32_t line = 0;
    rt.block_on([&]() -> task<> {
        auto racer = [&](int) -> task<int> {
            ++arrived;
            while (arrived < 2) std::this_thread::yield();  // both are past their last suspension
            throw std::runtime_error("race");
            co_return 0;
        };
        line = std::source_location::current().line() + 1;
        EXPECT_THROW(co_await map(numbers(2), at_most(2), racer), std::runtime_error);
    });
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].spawned.find("map_test.cpp:" + std::to_string(line)), std::string::npos) << reports[0].spawned;
}

TEST_F(Map, TheLostErrorOfTheFirstLaneNamesTheCallToo) {
    captured_reports captured;
    std::uint_least32_t line = 0;
    rt.block_on([&]() -> task<> {
        auto work = [](int i) -> task<int> {
            if (i == 1) throw std::runtime_error("the first error");
            while (!this_task::stop_requested()) std::this_thread::yield();  // by that error
            throw std::runtime_error("the lost error");
            co_return 0;
        };
        line = std::source_location::current().line() + 1;
        EXPECT_THROW(co_await map(numbers(2), at_most(2), work), std::runtime_error);
    });
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("the lost error"), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].spawned.find("map_test.cpp:" + std::to_string(line)), std::string::npos) << reports[0].spawned;
}

TEST_F(Map, AnErrorOfTheCallItselfIsAnErrorLikeAnother) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto refuse = [&](int i) -> task<int> {
            if (i == 1) throw std::runtime_error("refused before there was a task");
            return [](std::atomic<int>& l) -> task<int> {
                counted local{l};
                co_await never();
                co_return 0;
            }(live);
        };
        EXPECT_THROW(co_await map(numbers(3), at_most(3), refuse), std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Map, AnErrorOfTheIteratorOrTheGeneratorIsAnErrorLikeAnother) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto wait = [&](int) -> task<int> {
            counted local{live};
            co_await never();
            co_return 0;
        };
        auto bad = numbers(10) | std::views::transform([](int i) {
                       if (i == 2) throw std::runtime_error("iterator");
                       return i;
                   });
        EXPECT_THROW(co_await map(bad, at_most(5), wait), std::runtime_error);
        EXPECT_EQ(live, 0);
        auto failing = []() -> async_generator<int> {
            co_yield 1;
            co_await yield();
            throw std::runtime_error("generator");
        };
        EXPECT_THROW(co_await map(failing(), at_most(5), wait), std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(const throws_when_copied&) { throw std::runtime_error("copy"); }
    throws_when_copied(throws_when_copied&&) noexcept {}
};

TEST_F(Map, AnItemWhoseCopyThrowsIsAnError) {
    rt.block_on([]() -> task<> {
        std::deque<throws_when_copied> items(3);
        auto work = [](throws_when_copied) -> task<int> { co_return 0; };
        EXPECT_THROW(co_await map(items, at_most(2), work), std::runtime_error);
    });
}

// ---- stops -----------------------------------------------------------------------------------------------------

TEST_F(Map, AStopOfTheEnclosingScopeStopsEverythingAndPassesThrough) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto source = [](std::atomic<int>& l) -> async_generator<int> {
                    counted local{l};
                    for (int i = 0; i < 3; ++i) co_yield i;
                    co_await never();
                };
                auto work = [&](int) -> task<int> {
                    counted local{live};
                    co_await never();
                    co_return 0;
                };
                try {
                    co_await map(source(live), at_most(8), work);
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 4; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Map, ADeadlineEndsIt) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto work = [&](int i) -> task<int> {
            counted local{live};
            EXPECT_TRUE(this_task::deadline().has_value());
            if (i > 5) co_await never();
            co_return i;
        };
        EXPECT_THROW(co_await timeout(2ms, map(numbers(100), at_most(4), work)), deadline_exceeded);
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Map, AStopEndsAnEndlessOneInWhichNothingSuspends) {
    rt.block_on([]() -> task<> {
        auto work = [](int i) -> task<int> { co_return i; };
        EXPECT_THROW(co_await timeout(1ms, map(std::views::iota(0), at_most(2), work)), deadline_exceeded);
    });
}

TEST_F(Map, AStopAtAnyMomentLeavesNothing) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < 300; ++round) {
            std::atomic<int> begun{0};
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    auto source = [](std::atomic<int>& l) -> async_generator<counted> {
                        for (int i = 0; i < 40; ++i) {
                            if (i % 3 == 0) co_await yield();
                            co_yield counted{l};
                        }
                    };
                    auto work = [&](counted c) -> task<counted> {
                        if (++begun == round % 41) s.request_stop();
                        co_await yield();
                        co_return c;
                    };
                    co_await map(source(live), at_most(1 + round % 6), work);
                });
                co_await yield();
                if (round % 2 == 0) s.request_stop();
                co_await until([&] { return s.size() == 0; });
            });
            EXPECT_EQ(live, 0);
        }
    });
}

// ---- size ------------------------------------------------------------------------------------------------------

TEST_F(Map, AHundredThousandItemsNeedNoStack) {
    rt.block_on([]() -> task<> {
        auto work = [](int i) -> task<int> { co_return i; };
        auto results = co_await map(std::views::iota(0, 100'000), at_most(4), work);
        EXPECT_EQ(results, numbers(100'000));
    });
}

TEST_F(Map, NestsInItself) {
    rt.block_on([]() -> task<> {
        auto row = [](int i) -> task<long> {
            auto cells = co_await map(numbers(i), at_most(3), twice);
            co_return std::accumulate(cells.begin(), cells.end(), 0L);
        };
        auto sums = co_await map(numbers(50), at_most(4), row);
        for (int i = 0; i < 50; ++i) EXPECT_EQ(sums.at(static_cast<std::size_t>(i)), i * (i - 1L));
    });
}

}  // namespace
}  // namespace belay
