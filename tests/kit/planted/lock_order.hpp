// Planted: two transfers in opposite directions take the same two locks in opposite order.
#pragma once

#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/task.hpp>
#include <belay/sync/mutex.hpp>

#include <array>
#include <cstddef>

namespace belay::planted {

struct account {
    mutex lock;
    int balance = 100;
};

/// The mistake: "from" first, whichever it is. By address, or both at once, would do.
inline task<> transfer(account& from, account& to, int amount) {
    auto outer = co_await from.lock.lock();
    auto inner = co_await to.lock.lock();
    from.balance -= amount;
    to.balance += amount;
}

inline task<> lock_order(simulation&) {
    std::array<account, 5> bank;
    co_await with_scope([&](scope& s) -> task<> {
        // A ring of payments, one of which goes back.
        for (std::size_t i = 0; i + 1 < bank.size(); ++i)
            s.spawn([&, i]() -> task<> { co_await transfer(bank[i], bank[i + 1], 10); });
        s.spawn([&]() -> task<> { co_await transfer(bank[3], bank[2], 5); });
        co_return;
    });
}

}  // namespace belay::planted
