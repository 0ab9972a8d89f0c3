// Channels, locks, events and select under many seeds, and stopped and failing at each of their awaits.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/map_unordered.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/select.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>
#include <belay/tests/kit/ledger.hpp>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;
using kit::ledger;
using message = ledger::message;

/// The program, its runs and all stops and failures in it have no complaint.
void expect_clean(const kit::program& program, const kit::verdict& check = {}, std::size_t least_stops = 10) {
    auto all = kit::run_everywhere_test({.check = check}, program);
    if (std::getenv("BELAY_SEED") == nullptr) {
        EXPECT_GE(all.stops, least_stops);
    }
}

/// Channels of messages: what was sent arrives once, in the order of each sender, and is destroyed once.
class SimulatedChannel : public ::testing::Test {
protected:
    void begin(std::size_t capacity) {
        book_ = std::make_unique<ledger>();
        last_.clear();
        disorder_.clear();
        auto [tx, rx] = channel<std::pair<int, message>>(capacity);
        tx_.emplace(std::move(tx));
        rx_.emplace(std::move(rx));
    }
    std::optional<sender<std::pair<int, message>>>& tx() { return tx_; }
    receiver<std::pair<int, message>>& rx() { return *rx_; }
    ledger& book() { return *book_; }

    task<> produce(int who, int count, sender<std::pair<int, message>> to) {
        for (int i = 0; i < count; ++i) {
            std::pair<int, message> one{who, book_->make()};
            auto id = one.second.id();
            if (co_await to.send(one) == send_status::sent) book_->sent(id);
        }
    }
    void arrived(std::pair<int, message>&& got) {
        auto id = got.second.id();
        if (id <= last_[got.first])
            disorder_ += "of sender " + std::to_string(got.first) + " message " + std::to_string(id) + " came late\n";
        last_[got.first] = id;
        book_->received(std::move(got.second));
    }
    /// What is in the channel when the program has ended is no loss.
    kit::verdict complaint() {
        return [this]() -> std::string {
            tx_.reset();
            while (auto left = rx_->try_recv()) arrived(std::move(*left));
            rx_.reset();
            return book_->complaint() + disorder_;
        };
    }

private:
    std::unique_ptr<ledger> book_;
    std::map<int, std::size_t> last_;
    std::string disorder_;
    std::optional<sender<std::pair<int, message>>> tx_;
    std::optional<receiver<std::pair<int, message>>> rx_;
};

TEST_F(SimulatedChannel, LosesAndReordersNothing) {
    for (std::size_t capacity : {1U, 3U}) {
        expect_clean(
            [&](simulation&) -> task<> {
                begin(capacity);
                co_await with_scope([&](scope& s) -> task<> {
                    s.spawn([this, to = *tx()]() -> task<> { co_await produce(1, 3, to); });
                    s.spawn([this, to = *tx()]() -> task<> { co_await produce(2, 3, to); });
                    tx().reset();
                    while (auto got = co_await rx().recv()) arrived(std::move(*got));
                });
            },
            complaint());
    }
}

TEST_F(SimulatedChannel, ReservationsAndTriesLoseNothing) {
    expect_clean(
        [&](simulation&) -> task<> {
            begin(2);
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([this, to = *tx()]() mutable -> task<> {
                    for (int i = 0; i < 3; ++i) {
                        auto room = co_await to.reserve();
                        if (!room) co_return;
                        auto one = book().make();
                        auto id = one.id();
                        co_await yield();  // a stop here gives the room back
                        if (room.send({1, std::move(one)}) == send_status::sent) book().sent(id);
                    }
                });
                s.spawn([this, to = *tx()]() mutable -> task<> {
                    for (int i = 0; i < 6; ++i) {
                        std::pair<int, message> one{2, book().make()};
                        auto id = one.second.id();
                        if (to.try_send(one)) book().sent(id);
                        co_await yield();
                    }
                });
                tx().reset();
                while (auto got = co_await rx().recv()) arrived(std::move(*got));
            });
        },
        complaint());
}

TEST_F(SimulatedChannel, AReceiverThatGivesUpMayComeBack) {
    expect_clean(
        [&](simulation&) -> task<> {
            begin(1);
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([this, to = *tx()]() -> task<> {
                    co_await sleep_for(1ms);
                    co_await produce(1, 4, to);
                });
                tx().reset();
                for (bool open = true; open;) {
                    // The message of a receive that lost its race is delivered, or has never been taken.
                    auto got = co_await try_timeout(
                        500us, [](receiver<std::pair<int, message>>& from) -> task<std::optional<std::pair<int, message>>> {
                            co_return co_await from.recv();
                        }(rx()));
                    if (!got) continue;
                    open = got->has_value();
                    if (open) arrived(std::move(**got));
                }
            });
        },
        complaint());
}

TEST_F(SimulatedChannel, ExactlyOneArmOfASelectHappens) {
    expect_clean(
        [&](simulation&) -> task<> {
            begin(1);
            auto [other_tx, other_rx] = channel<std::pair<int, message>>(1);
            event enough;
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([this, to = *tx()]() -> task<> { co_await produce(1, 3, to); });
                s.spawn([this, to = std::move(other_tx)]() -> task<> { co_await produce(2, 3, to); });
                tx().reset();
                int open = 2;
                bool first = true;
                bool second = true;
                while (open > 0) {
                    if (first && second) {
                        auto won = co_await select(rx().recv(), other_rx.recv(), enough.wait());
                        auto& got = won.index() == 0 ? won.get<0>() : won.get<1>();
                        if (got) {
                            arrived(std::move(*got));
                        } else {
                            (won.index() == 0 ? first : second) = false;
                            --open;
                        }
                    } else {
                        auto got = first ? co_await rx().recv() : co_await other_rx.recv();
                        if (got) arrived(std::move(*got));
                        open -= got ? 0 : 1;
                    }
                }
            });
        },
        [this, rest = complaint()]() -> std::string {
            book().receiver_gone();  // the other channel's messages went with it
            return rest();
        });
}

/// At most so many are inside at once.
struct inside {
    int now = 0;
    int most = 0;
    struct visit {
        inside& of;
        explicit visit(inside& i) : of{i} { of.most = std::max(of.most, ++of.now); }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit() { --of.now; }
    };
};

TEST(SimulatedMutex, LetsOneInAndIsFreeAfterwards) {
    std::unique_ptr<mutex> lock;
    inside in;
    expect_clean(
        [&](simulation&) -> task<> {
            lock = std::make_unique<mutex>();
            in = {};
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&]() -> task<> {
                        for (int n = 0; n < 2; ++n) {
                            auto guard = co_await lock->lock();
                            inside::visit here{in};
                            co_await yield();
                        }
                    });
                }
                co_return;
            });
        },
        [&]() -> std::string {
            if (in.most > 1) return "two were inside at once";
            if (in.now != 0) return "somebody is still inside";
            return lock->try_lock().owns_lock() ? "" : "it is not free";
        });
}

TEST(SimulatedSemaphore, KeepsItsPermits) {
    std::unique_ptr<semaphore> permits;
    inside in;
    expect_clean(
        [&](simulation&) -> task<> {
            permits = std::make_unique<semaphore>(3);
            in = {};
            co_await with_scope([&](scope& s) -> task<> {
                for (std::size_t many : {1U, 2U, 3U, 1U}) {
                    s.spawn([&, many]() -> task<> {
                        auto mine = co_await permits->acquire(many);
                        std::vector<std::unique_ptr<inside::visit>> here;
                        for (std::size_t i = 0; i < many; ++i) here.push_back(std::make_unique<inside::visit>(in));
                        co_await yield();
                    });
                }
                co_return;
            });
        },
        [&]() -> std::string {
            if (in.most > 3) return "more permits than there are";
            return permits->available() == 3 ? "" : "permits are lost";
        });
}

TEST(SimulatedEvent, NobodyWhoWaitsIsForgotten) {
    expect_clean([](simulation&) -> task<> {
        event ready;
        event done;
        int waiters = 3;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) {
                s.spawn([&]() -> task<> {
                    co_await ready.wait();
                    if (--waiters == 0) done.set();
                });
            }
            co_await yield();
            ready.set();
            co_await done.wait();
        });
    });
}

TEST(SimulatedSelect, KeepsNeitherPermitsNorLocksOfArmsThatLost) {
    std::unique_ptr<mutex> lock;
    std::unique_ptr<semaphore> permits;
    expect_clean(
        [&](simulation&) -> task<> {
            lock = std::make_unique<mutex>();
            permits = std::make_unique<semaphore>(1);
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&]() -> task<> {
                        for (int n = 0; n < 2; ++n) {
                            auto won = co_await select(lock->lock(), permits->acquire(), sleep_for(100us));
                            co_await yield();
                        }
                    });
                }
                co_return;
            });
        },
        [&]() -> std::string {
            if (!lock->try_lock().owns_lock()) return "the lock is not free";
            return permits->available() == 1 ? "" : "the permit is lost";
        });
}

TEST(SimulatedSelect, RacesOfWhenAnyAwaitTheirLosers) {
    inside in;
    expect_clean(
        [&](simulation&) -> task<> {
            in = {};
            auto walk = [&](std::chrono::microseconds time) -> task<int> {
                inside::visit here{in};
                co_await sleep_for(time);
                co_return 1;
            };
            co_await when_any(walk(300us), walk(300us), walk(400us));
            EXPECT_EQ(in.now, 0);
        },
        [&]() -> std::string { return in.now == 0 ? "" : "a loser is still there"; }, 5);
}

}  // namespace
}  // namespace belay
