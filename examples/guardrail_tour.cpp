// A tour of the guardrails: one small mistake for each, and the report that it causes. Every mistake here compiles, and most
// would pass a test suite. Normally a report goes to standard error, and in a debug build the program then panics; here a
// sink prints it and the tour goes on. Try BELAY_GUARDRAILS=all=panic to see the tour end at its first mistake.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/report.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/sync_mutex.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace {

using namespace std::chrono_literals;

// Prints reports and remembers that there was one, so that a mistake can end when it has been found.
class tour_guide final : public belay::guardrails::report_sink {
public:
    void write(const belay::report& what) noexcept override {
        std::printf("%s", what.to_text().c_str());
        reported_.store(true);
    }
    void next(const char* mistake) {
        std::printf("\n==== %s\n", mistake);
        reported_.store(false);
        give_up_ = std::chrono::steady_clock::now() + 20s;
    }
    // Only a guardrail that was switched off in the environment makes this wait for long.
    [[nodiscard]] bool still_waiting() const { return !reported_.load() && std::chrono::steady_clock::now() < give_up_; }
    void finish() {
        belay::guardrails::flush();
        if (reported_.load())
            ++found_;
        else
            std::printf("nothing was reported; is BELAY_GUARDRAILS set?\n");
    }
    [[nodiscard]] int found() const { return found_; }

private:
    std::atomic<bool> reported_{false};
    std::chrono::steady_clock::time_point give_up_;
    int found_ = 0;
};

belay::runtime_options tour_options(unsigned workers) {
    belay::runtime_options options;
    options.workers = workers;
    options.name = "tour";
    options.guardrails = "all=log,stall=log:50ms";
    return options;
}

// ---- 1: a task that computes and never lets another one run ------------------------------------------------------

belay::task<> find_primes(const tour_guide& guide) {
    std::array<bool, 4096> composite{};
    while (guide.still_waiting())  // a real one would not know when to stop
        for (std::size_t i = 2; i * i < composite.size(); ++i)
            for (std::size_t j = i * i; j < composite.size(); j += i) composite[j] = true;
    co_return;
}

void hog(tour_guide& guide) {
    guide.next("a task that computes without a pause");
    belay::runtime runtime{tour_options(2)};
    runtime.block_on([&]() -> belay::task<> { co_await find_primes(guide); });
    guide.finish();
}

// ---- 2: a blocking call in a task --------------------------------------------------------------------------------

belay::task<char> read_answer(int fd) {
    char answer = 0;
    [[maybe_unused]] auto n = ::read(fd, &answer, 1);  // the worker sleeps here, and all that is queued on it waits
    co_return answer;
}

void blocking_read(tour_guide& guide) {
    guide.next("a blocking read in a task");
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    belay::runtime runtime{tour_options(2)};
    runtime.block_on([&]() -> belay::task<> {
        co_await belay::with_scope({.name = "questions"}, [&](belay::scope& scope) -> belay::task<> {
            scope.spawn(read_answer, ends[0]);
            while (guide.still_waiting()) co_await belay::yield();
            [[maybe_unused]] auto n = ::write(ends[1], "y", 1);
        });
    });
    ::close(ends[0]);
    ::close(ends[1]);
    guide.finish();
}

// ---- 3: a lock that is held across a suspension ------------------------------------------------------------------

void lock_across_suspension(tour_guide& guide) {
    guide.next("a lock held across co_await");
    belay::runtime runtime{tour_options(1)};  // one worker: here the task does come back to the thread that has the lock
    belay::sync_mutex mutex;
    int visits = 0;
    runtime.block_on([&]() -> belay::task<> {
        belay::sync_lock lock{mutex};
        ++visits;
        co_await belay::yield();  // should have come after the block that the lock protects
    });
    guide.finish();
}

// ---- 4: a task that is still there when the runtime ends ---------------------------------------------------------

belay::task<> poll_forever(const tour_guide& guide, std::atomic<bool>& started) {
    started.store(true);
    while (guide.still_waiting()) {  // no co_await belay::checkpoint(): it does not notice that it should stop
    }
    co_return;
}

void leak(tour_guide& guide) {
    guide.next("a task that does not end at shutdown");
    auto options = tour_options(2);
    options.guardrails = "all=log,stall=off";
    belay::runtime runtime{options};
    std::atomic<bool> started{false};
    runtime.spawn([&] { return poll_forever(guide, started); });
    while (!started.load()) ::usleep(100);
    runtime.shutdown(0s);
    guide.finish();
}

// ---- 5: an error that nobody will ever see -----------------------------------------------------------------------

belay::task<> send_newsletter() {
    throw std::runtime_error("550 mailbox unavailable");
    co_return;
}

void lost_error(tour_guide& guide) {
    guide.next("an error that nobody sees");
    belay::runtime runtime{tour_options(2)};
    runtime.block_on([]() -> belay::task<> {
        co_await belay::with_scope({.name = "newsletters", .on_error = belay::on_error::isolate},
                                   [](belay::scope& scope) -> belay::task<> {
                                       scope.spawn(send_newsletter);
                                       co_return;
                                   });
    });
    guide.finish();
}

// ---- 6: a task that is made and never awaited --------------------------------------------------------------------

belay::task<> save(int) { co_return; }

void never_awaited(tour_guide& guide) {
    guide.next("a task that never runs");
    belay::runtime runtime{tour_options(2)};
    runtime.block_on([]() -> belay::task<> {
        auto saving = save(42);  // without the variable the compiler would warn; with it, this looks fine
        co_return;
    });
    guide.finish();
}

// ---- 7: a task that refers to what a lambda captured -------------------------------------------------------------

void borrowed_captures(tour_guide& guide) {
    guide.next("the call of a lambda that is gone");
    belay::runtime runtime{tour_options(2)};
    runtime.block_on(belay::with_scope([](belay::scope& scope) -> belay::task<> {
        int copies = 3;
        auto print = [copies]() -> belay::task<> {  // in a real mistake a temporary; kept here, so that only the report is seen
            for (int left = copies; left > 0; --left) co_await belay::yield();
        };
        co_await scope.spawn(print()).join();  // scope.spawn(print) keeps a copy of the lambda
    }));
    guide.finish();
}

// ---- 8, 9: what belay::guard sees, which this program is linked with ---------------------------------------------

void any_lock_across_suspension(tour_guide& guide) {
    guide.next("any lock held across co_await");
    belay::runtime runtime{tour_options(1)};
    std::mutex mutex;
    runtime.block_on([&]() -> belay::task<> {
        std::scoped_lock lock{mutex};
        co_await belay::yield();
    });
    guide.finish();
}

void blocking_call(tour_guide& guide) {
    guide.next("a call that puts the worker to sleep");
    {
        belay::runtime runtime{tour_options(2)};
        runtime.block_on([]() -> belay::task<> {
            std::this_thread::sleep_for(20ms);  // far below what the watchdog looks for
            co_return;
        });
    }  // it is reported when the task is back at its worker
    guide.finish();
}

// ---- 10: a task that does not see that it is asked to stop -------------------------------------------------------

void stop_ignored(tour_guide& guide) {
    guide.next("a task that ignores its stop");
    auto options = tour_options(2);
    options.guardrails = "all=log,stall=off,stop=log:50ms";
    belay::runtime runtime{options};
    runtime.block_on([&]() -> belay::task<> {
        std::atomic<bool> started{false};
        co_await belay::with_scope({.name = "searches"}, [&](belay::scope& scope) -> belay::task<> {
            scope.spawn([&] { return poll_forever(guide, started); });
            while (!started.load()) co_await belay::yield();
            scope.request_stop();  // it is asked at suspensions only, and has none
        });
    });
    guide.finish();
}

// ---- 11: tasks that wait for each other --------------------------------------------------------------------------

belay::task<> add_up(belay::receiver<int> numbers) {
    while (co_await numbers.recv()) {}
}

void deadlock(tour_guide& guide) {
    guide.next("a task that keeps the channel open whose end it waits for");
    auto options = tour_options(2);
    options.guardrails = "all=log,stall=off,deadlock=log:50ms";
    belay::runtime runtime{options};
    auto job = runtime.spawn([]() -> belay::task<> {
        auto [tx, rx] = belay::channel<int>(16);
        co_await belay::with_scope([&](belay::scope& scope) -> belay::task<> {
            scope.spawn(add_up, std::move(rx));
            co_await tx.send(42);
            co_return;  // tx lives on, in the frame that waits for add_up to end
        });
    });
    while (guide.still_waiting()) std::this_thread::sleep_for(5ms);
    job.request_stop();
    guide.finish();
}

// ---- 12: locks in two orders, which have not met yet -------------------------------------------------------------

belay::task<> transfer(belay::mutex* from, belay::mutex* to) {
    auto debit = co_await from->lock();
    auto credit = co_await to->lock();
}

void lock_order(tour_guide& guide) {
    guide.next("two locks in two orders");
    auto options = tour_options(1);
    options.guardrails = "all=log,stall=off,order=log";
    belay::mutex alice;
    belay::mutex bob;
    {
        belay::runtime runtime{options};
        runtime.block_on(transfer(&alice, &bob));
        runtime.block_on(transfer(&bob, &alice));
    }  // it is reported when the task is back at its worker
    guide.finish();
}

// ---- 13: a task that lets others run, but seldom -----------------------------------------------------------------

belay::task<> reindex(const tour_guide& guide) {
    while (guide.still_waiting()) {
        for (auto end = std::clock() + CLOCKS_PER_SEC / 10'000; std::clock() < end;) {}
        co_await belay::checkpoint();  // yields when 128 of these are done, which is not often
    }
}

void starvation(tour_guide& guide) {
    guide.next("a task that uses up its whole budget, and a timer that comes late");
    auto options = tour_options(1);
    options.guardrails = "all=log,stall=log:1s,starve=log:50ms";
    belay::runtime runtime{options};
    runtime.block_on(belay::with_scope({.name = "index"}, [&](belay::scope& scope) -> belay::task<> {
        scope.spawn(reindex, std::ref(guide));
        while (guide.still_waiting()) co_await belay::sleep_for(1ms);
    }));
    guide.finish();
}

}  // namespace

int main() {
    auto guide = std::make_shared<tour_guide>();
    belay::guardrails::set_sink(guide);
    constexpr std::array stops{hog,
                               blocking_read,
                               lock_across_suspension,
                               leak,
                               lost_error,
                               never_awaited,
                               borrowed_captures,
                               any_lock_across_suspension,
                               blocking_call,
                               stop_ignored,
                               deadlock,
                               lock_order,
                               starvation};
    for (auto* stop : stops) stop(*guide);
    std::printf("\n%d of %zu mistakes were caught\n", guide->found(), stops.size());
    belay::guardrails::set_sink(nullptr);
    return guide->found() == static_cast<int>(stops.size()) ? 0 : 1;
}
