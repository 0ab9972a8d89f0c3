// The search for deadlocks, asked after each step: of a program in which nobody is stuck, and of random ones that lock, acquire, send,
// receive, join, give up and give back. Who it says is stuck never goes on again.
#include <belay/runtime/detail/deadlock_search.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/select.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/tests/kit/explore.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;

/// What the tasks of one run share. Some of them wait for ever, which is what the search is to find.
class tangle {
public:
    explicit tangle(simulation& sim) : sim_{sim} {}

    task<> run() {
        std::size_t count = 2 + draw(3);
        spawn_ring(count);
        co_await sleep_for(100ms);  // all has happened that can
        over_ = true;
        for (auto& handle : handles_) handle.request_stop();
        co_await yield();
    }
    /// After a step.
    void search() {
        if (over_) return;
        auto found = detail::deadlock_search{sim_.core()}.run(1'000'000);
        if (found) stuck_.insert(found->ids.begin(), found->ids.end());
    }
    [[nodiscard]] bool found_some() const noexcept { return !stuck_.empty(); }
    [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

private:
    /// Its handles are in its frame, where the search sees them.
    struct holdings {
        std::optional<receiver<int>> from;
        std::optional<sender<int>> to;
        std::optional<mutex_guard> guard;
        std::optional<semaphore_permit> permits;
        std::optional<semaphore_permit> more_permits;
    };

    /// Each sends to the one before it.
    void spawn_ring(std::size_t count) {
        std::vector<std::pair<sender<int>, receiver<int>>> ends;
        for (std::size_t i = 0; i < count; ++i) ends.push_back(channel<int>(1));
        for (std::size_t i = 0; i < count; ++i)
            handles_.push_back(sim_.spawn_at(
                std::source_location::current(),
                [this, i](receiver<int> from, sender<int> to) -> task<> { co_await act(i, std::move(from), std::move(to)); },
                std::move(ends[i].second), ends[(i + 1) % count].first));
    }

    task<> act(std::size_t me, receiver<int> from, sender<int> to) {
        holdings mine{.from = std::move(from), .to = std::move(to), .guard = {}, .permits = {}, .more_permits = {}};
        for (std::size_t rounds = 1 + draw(5); rounds > 0; --rounds) {
            switch (draw(5)) {
            case 0: co_await sleep_for(some_time()); break;
            case 1: co_await acquire(mine.permits ? mine.more_permits : mine.permits); break;
            case 2: co_await lock_or_receive(mine); break;
            case 3: co_await give_back(mine); break;
            case 4: co_await talk(me, mine); break;
            }
            goes_on();
        }
    }
    task<> acquire(std::optional<semaphore_permit>& into) {
        if (into) co_return;
        std::size_t many = 1 + draw(3);
        switch (draw(3)) {
        case 0: into.emplace(co_await semaphore_.acquire(many)); break;
        case 1: {
            auto won = co_await select(semaphore_.acquire(many), sleep_for(some_time()));
            if (won.index() == 0) into.emplace(std::move(won.get<0>()));
            break;
        }
        case 2: {
            auto got = co_await try_timeout(some_time(), semaphore_.acquire(many));
            if (got) into.emplace(std::move(*got));
            break;
        }
        }
    }
    task<> lock_or_receive(holdings& mine) {
        if (mine.guard) co_return;
        auto& lock = locks_[draw(2)];
        if (mine.from && draw(2) == 1) {
            auto won = co_await select(mine.from->recv(), lock.lock());
            if (won.index() == 1) mine.guard.emplace(std::move(won.get<1>()));
        } else {
            mine.guard.emplace(co_await lock.lock());
        }
    }
    task<> give_back(holdings& mine) {
        switch (draw(4)) {
        case 0: mine.permits.reset(); break;
        case 1: mine.guard.reset(); break;
        case 2: mine.to.reset(); break;
        case 3: mine.from.reset(); break;
        }
        co_await yield();
    }
    task<> talk(std::size_t me, holdings& mine) {
        switch (draw(3)) {
        case 0:
            if (mine.to) co_await mine.to->send(1);
            break;
        case 1:
            if (mine.from) co_await mine.from->recv();
            break;
        case 2:
            if (me > 0 && handles_[me - 1]) {
                auto before = std::move(handles_[me - 1]);
                co_await before.join_optional();
            }
            break;
        }
    }
    void goes_on() {
        if (over_ || !stuck_.contains(this_task::id())) return;
        complaint_ += "task " + std::to_string(this_task::id()) + " was said to be stuck, and goes on\n";
    }
    std::uint32_t draw(std::uint32_t count) { return sim_.draw(count); }
    std::chrono::microseconds some_time() {
        static constexpr std::array times{5us, 1us, 20us, 100us};
        return times[draw(times.size())];
    }

    simulation& sim_;
    std::array<mutex, 2> locks_;
    semaphore semaphore_{3};
    std::vector<join_handle<>> handles_;
    std::set<std::uint64_t> stuck_;
    bool over_ = false;
    std::string complaint_;
};

/// A task that has one of three connections and needs another; beside it somebody who would like to have all three, but not for ever.
task<> nested_and_drain() {
    semaphore connections{3};
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> {
            auto one = co_await connections.acquire();
            co_await yield();
            auto another = co_await connections.acquire();
        });
        s.spawn([&]() -> task<> { co_await try_timeout(1s, connections.acquire(3)); });
        co_return;
    });
}

TEST(SimulatedDeadlockSearch, WhoGivesUpLetsThoseBehindItGoOn) {
    simulation* running = nullptr;
    std::string said;
    auto look = [&](std::size_t step) {
        auto found = detail::deadlock_search{running->core()}.run(1'000'000);
        if (!found || found->ids.empty() || !said.empty()) return;
        said = "after step " + std::to_string(step) + " task " + std::to_string(found->ids[0]) + " is said to be stuck:\n" +
               running->tasks();
    };
    auto result =
        kit::explore({.sim = {.on_step = look}, .check = [&] { return std::exchange(said, {}); }}, [&](simulation& sim) {
            running = &sim;
            return nested_and_drain();
        });
    EXPECT_FALSE(result.failure) << "after " << result.runs << " runs: " << result.failure->text();
}

TEST(SimulatedDeadlockSearch, WhoIsSaidToBeStuckNeverGoesOn) {
    std::unique_ptr<tangle> one;
    std::size_t with_findings = 0;
    auto look = [&](std::size_t) {
        if (one) one->search();
    };
    auto check = [&] {
        auto ended = std::move(one);
        if (ended->found_some()) ++with_findings;
        return ended->complaint();
    };
    auto result = kit::explore({.sim = {.on_step = look}, .check = check}, [&](simulation& sim) {
        one = std::make_unique<tangle>(sim);
        return one->run();
    });
    EXPECT_FALSE(result.failure) << "after " << result.runs << " runs: " << result.failure->text();
    if (result.runs >= 100) EXPECT_GT(with_findings, 0U) << "it finds something, too";
}

}  // namespace
}  // namespace belay
