// Planted: a message is taken from its channel, and lost when a stop comes before it is handed over.
#pragma once

#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/mutex.hpp>

#include <optional>
#include <stdexcept>
#include <utility>

namespace belay::planted {

/// Receives and counts. The mistake: it awaits a lock while it holds a message that nobody else has. To count first, or under a shield,
/// would do.
inline task<std::optional<int>> counted(receiver<int>& from, mutex& lock, int& count) {
    auto got = co_await from.recv();
    auto guard = co_await lock.lock();
    ++count;
    co_return got;
}

inline task<> lost_message(simulation&) {
    constexpr int messages = 4;
    auto [tx, rx] = channel<int>(2);
    mutex lock;
    int count = 0;
    int sum = 0;
    auto consume = [&]() -> task<> {
        while (auto got = co_await counted(rx, lock, count)) sum += *got;
    };
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn(
            [](sender<int> to) -> task<> {
                for (int i = 1; i <= messages; ++i) co_await to.send(i);
            },
            std::move(tx));
        s.spawn([&]() -> task<> {  // somebody who looks at the count, now and then
            for (int i = 0; i < 3; ++i) {
                co_await yield();
                auto guard = co_await lock.lock();
            }
        });
        auto first = s.spawn([&]() -> task<> { co_await consume(); });
        for (int i = 0; i < 5; ++i) co_await yield();
        first.request_stop();  // it is replaced
        co_await first.join_optional();
        co_await consume();
    });
    if (sum != messages * (messages + 1) / 2) throw std::runtime_error("a message is lost");
}

}  // namespace belay::planted
