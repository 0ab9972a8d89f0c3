// Planted: a wake-up that comes between the look and the wait is lost.
#pragma once

#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>

#include <deque>
#include <utility>

namespace belay::planted {

/// A queue whose consumer waits for news with an event that it resets too late.
class forgetful_queue {
public:
    task<> push(int value) {
        {
            auto guard = co_await lock_.lock();
            values_.push_back(value);
        }
        news_.set();
    }
    task<int> pop() {
        for (;;) {
            {
                auto guard = co_await lock_.lock();
                if (!values_.empty()) co_return take();
            }
            // The mistake: what is pushed now sets the event before it is reset. Reset under the lock, before the look, would do.
            co_await yield();
            news_.reset();
            co_await news_.wait();
        }
    }

private:
    int take() {
        int value = values_.front();
        values_.pop_front();
        return value;
    }
    mutex lock_;
    event news_;
    std::deque<int> values_;
};

inline task<> lost_wakeup(simulation&) {
    forgetful_queue queue;
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> {
            for (int i = 0; i < 3; ++i) {
                for (int work = 0; work < 4; ++work) co_await yield();
                co_await queue.push(i);
            }
        });
        for (int i = 0; i < 3; ++i) co_await queue.pop();
    });
}

}  // namespace belay::planted
