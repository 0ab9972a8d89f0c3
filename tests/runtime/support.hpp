// What the tests of the runtime share: a watchdog that turns a hang into a failure with a name, a runtime that is
// configured for tests, a primitive operation to suspend on, and a log.
#pragma once

#include <belay/runtime/runtime.hpp>
#include <belay/runtime/yield.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace belay::test {

using namespace std::chrono_literals;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// Aborts the process, naming the test, if it is not destroyed in time. The core dump or the debugger shows where it hangs.
class hard_timeout {
public:
    explicit hard_timeout(std::chrono::seconds limit = 120s)
        : watch_{[this, limit] {
              std::unique_lock guard(lock_);
              if (changed_.wait_for(guard, limit, [this] { return done_; })) return;
              const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
              std::fprintf(stderr, "HANG: %s.%s did not end within %lld s\n", info != nullptr ? info->test_suite_name() : "?",
                           info != nullptr ? info->name() : "?", static_cast<long long>(limit.count()));
              std::abort();
          }} {}
    hard_timeout(const hard_timeout&) = delete;
    hard_timeout& operator=(const hard_timeout&) = delete;
    ~hard_timeout() {
        {
            std::scoped_lock guard(lock_);
            done_ = true;
        }
        changed_.notify_all();
        watch_.join();
    }

private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread watch_;
};

/// A runtime for tests: long polls are not a finding here (the machine is shared, tests hog on purpose); everything else that
/// a guardrail notices ends a debug build.
inline runtime_options options(unsigned workers = 2) {
    return {.workers = workers, .name = "test", .blocking_threads = 4, .shutdown_grace = 60s, .guardrails = "stall=off"};
}

/// The base of all suites here: nothing hangs silently.
class Suite : public ::testing::Test {
    hard_timeout limit_;
};

/// A place where tasks wait until it is opened: the plainest stoppable operation, written against the operation protocol.
/// Any thread may open it. Outlives its waiters.
class gate {
public:
    class [[nodiscard]] waiter final : public detail::operation, public detail::native_awaitable {
    public:
        explicit waiter(gate& g) noexcept : gate_{&g} {}
        waiter(waiter&& other) noexcept : operation(std::move(other)), gate_{other.gate_} {}
        bool await_ready() const noexcept { return gate_->opened(); }
        template <task_promise P>
        bool await_suspend(std::coroutine_handle<P> h) noexcept {
            return !suspend_on(*h.promise().rec) || start();
        }
        static void await_resume() noexcept {}
        [[nodiscard]] const char* what() const noexcept override { return "test::gate"; }

        void request_stop(detail::stop_walk&) noexcept override {
            {
                std::scoped_lock guard(gate_->lock_);
                if (!linked_) {
                    stopped_early_ = true;
                    return;
                }
                gate_->unlink(*this);
            }
            complete(detail::outcome::stopped);
        }

    private:
        friend class gate;
        bool start() noexcept {
            bool open = false;
            {
                std::scoped_lock guard(gate_->lock_);
                if (!stopped_early_) {
                    open = gate_->open_;
                    if (!open) {
                        gate_->link(*this);
                        return true;
                    }
                }
            }
            if (open) return !complete_inline();
            complete(detail::outcome::stopped);
            return true;
        }
        gate* gate_;
        waiter* prev_ = nullptr;
        waiter* next_ = nullptr;
        bool linked_ = false;         // guarded by the gate's lock
        bool stopped_early_ = false;  // as linked_
    };

    waiter wait() noexcept { return waiter{*this}; }

    /// Lets everyone through, now and later.
    void open() noexcept {
        for (;;) {
            waiter* next = nullptr;
            {
                std::scoped_lock guard(lock_);
                open_ = true;
                next = head_;
                if (next == nullptr) return;
                unlink(*next);
            }
            next->complete(detail::outcome::value);
        }
    }
    /// Lets the longest waiter through; false if there is none.
    bool release_one() noexcept {
        waiter* next = nullptr;
        {
            std::scoped_lock guard(lock_);
            next = head_;
            if (next == nullptr) return false;
            unlink(*next);
        }
        next->complete(detail::outcome::value);
        return true;
    }
    [[nodiscard]] bool opened() const noexcept {
        std::scoped_lock guard(lock_);
        return open_;
    }
    [[nodiscard]] std::size_t waiting() const noexcept {
        std::scoped_lock guard(lock_);
        return waiting_;
    }

private:
    void link(waiter& w) noexcept {
        w.prev_ = tail_;
        w.next_ = nullptr;
        (tail_ != nullptr ? tail_->next_ : head_) = &w;
        tail_ = &w;
        w.linked_ = true;
        ++waiting_;
    }
    void unlink(waiter& w) noexcept {
        (w.prev_ != nullptr ? w.prev_->next_ : head_) = w.next_;
        (w.next_ != nullptr ? w.next_->prev_ : tail_) = w.prev_;
        w.linked_ = false;
        --waiting_;
    }
    mutable std::mutex lock_;
    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
    std::size_t waiting_ = 0;
    bool open_ = false;
};

/// Suspends for ever; only a stop ends it.
inline task<> never() {
    gate shut;
    co_await shut.wait();
}

/// Yields until the predicate holds. For states that other tasks or threads reach by themselves.
template <class P>
task<> until(P predicate) {
    while (!predicate()) co_await yield();
}
/// The same on a plain thread.
template <class P>
void wait_until(P predicate) {
    while (!predicate()) std::this_thread::yield();
}

/// A thread that resumes coroutines which it does not know, as another library's would.
class resumer {
public:
    resumer() : thread_{[this] { main(); }} {}
    resumer(const resumer&) = delete;
    resumer& operator=(const resumer&) = delete;
    ~resumer() {
        {
            std::scoped_lock guard(lock_);
            quit_ = true;
        }
        posted_.notify_one();
        thread_.join();
    }
    void post(std::coroutine_handle<> h) {
        std::scoped_lock guard(lock_);
        queue_.push_back(h);
        posted_.notify_one();
    }
    /// `co_await r.elsewhere(n)` suspends, is resumed by the thread, and gives n.
    auto elsewhere(int value = 0) {
        struct awaitable {
            resumer* on;
            int value;
            static bool await_ready() noexcept { return false; }
            void await_suspend(std::coroutine_handle<> h) const { on->post(h); }
            [[nodiscard]] int await_resume() const noexcept { return value; }
        };
        return awaitable{this, value};
    }

private:
    void main() {
        std::unique_lock guard(lock_);
        for (;;) {
            posted_.wait(guard, [this] { return quit_ || !queue_.empty(); });
            if (queue_.empty()) return;
            auto h = queue_.front();
            queue_.pop_front();
            guard.unlock();
            h.resume();
            guard.lock();
        }
    }
    std::mutex lock_;
    std::condition_variable posted_;
    std::deque<std::coroutine_handle<>> queue_;
    bool quit_ = false;
    std::thread thread_;
};

/// Who did what, in order. Thread-safe.
class event_log {
public:
    void add(std::string what) {
        std::scoped_lock guard(lock_);
        events_.push_back(std::move(what));
    }
    [[nodiscard]] std::vector<std::string> all() const {
        std::scoped_lock guard(lock_);
        return events_;
    }
    /// "a, b, c"
    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& e : all()) out += (out.empty() ? "" : ", ") + e;
        return out;
    }

private:
    mutable std::mutex lock_;
    std::vector<std::string> events_;
};

/// Adds `name` to the log when it is destroyed, unless it was moved from.
class logs_end {
public:
    logs_end(event_log& log, std::string name) : log_{&log}, name_{std::move(name)} {}
    logs_end(logs_end&& other) noexcept : log_{std::exchange(other.log_, nullptr)}, name_{std::move(other.name_)} {}
    logs_end& operator=(logs_end&&) = delete;
    ~logs_end() {
        if (log_ != nullptr) log_->add(name_);
    }

private:
    event_log* log_;
    std::string name_;
};

/// Counts the objects that live.
class counted {
public:
    explicit counted(std::atomic<int>& live) noexcept : live_{&live} { ++*live_; }
    counted(const counted& other) noexcept : live_{other.live_} { ++*live_; }
    counted(counted&& other) noexcept : live_{other.live_} { ++*live_; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*live_; }

private:
    std::atomic<int>* live_;
};

}  // namespace belay::test
