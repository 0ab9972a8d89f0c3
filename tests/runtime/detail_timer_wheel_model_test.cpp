// The wheel against an ordered map, under random operations with fixed seeds.
#include <belay/runtime/detail/timer_wheel.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace {

using belay::detail::timer_node;
using belay::detail::timer_wheel;

constexpr std::int64_t tick = timer_wheel::tick_ns;
constexpr std::int64_t year = std::int64_t{365} * 24 * 3600 * 1'000'000'000;

std::vector<timer_node*> expired(timer_wheel& wheel, std::int64_t now) {
    std::vector<timer_node*> nodes;
    for (timer_node* node = wheel.expire(now); node != nullptr; node = node->next) nodes.push_back(node);
    return nodes;
}

using nodes = std::vector<timer_node*>;

// The model: an ordered map from the tick in which a timer must fire. Equal keys keep their order of insertion.
class model_test {
public:
    model_test(unsigned seed, std::int64_t start) : random_(seed), now_(start), wheel_(start) {}

    ~model_test() {
        for (auto& each : timers_) wheel_.remove(each);
    }

    void step() {
        const auto choice = random_() % 10;
        if (choice < 5)
            insert();
        else if (choice < 7)
            remove();
        else
            advance();
        if (testing::Test::HasFatalFailure()) return;
        ASSERT_EQ(wheel_.size(), model_.size());
        check_next_expiry();
    }

private:
    using model = std::multimap<std::int64_t, timer_node*>;

    // Spread over all magnitudes: as likely within a tick as within a century.
    std::int64_t random_span() {
        const auto bits = random_() % 60;
        return static_cast<std::int64_t>(random_() & ((std::uint64_t{1} << bits) - 1));
    }

    static std::int64_t tick_of_deadline(std::int64_t ns) { return ns / tick + (ns % tick != 0 ? 1 : 0); }

    void insert() {
        constexpr std::int64_t horizon = 250 * year;
        timer_node* node = nullptr;
        if (spare_.empty()) {
            node = &timers_.emplace_back();
        } else {
            node = spare_.back();
            spare_.pop_back();
        }
        const std::int64_t past = random_() % 8 == 0 ? std::min(random_span(), now_) : 0;
        const std::int64_t deadline = past > 0 ? now_ - past : std::min(now_ + random_span(), horizon);
        wheel_.insert(*node, deadline);
        model_.emplace(std::max(tick_of_deadline(deadline), now_ / tick), node);
    }

    void remove() {
        if (model_.empty()) return;
        auto chosen = std::next(model_.begin(), static_cast<std::ptrdiff_t>(random_() % model_.size()));
        ASSERT_TRUE(wheel_.remove(*chosen->second));
        ASSERT_FALSE(wheel_.remove(*chosen->second));
        spare_.push_back(chosen->second);
        model_.erase(chosen);
    }

    void advance() {
        // Mostly to the next event, so that timers of every distance do get their turn.
        if (random_() % 2 == 0 && wheel_.size() > 0)
            now_ = std::max(now_, wheel_.next_expiry_ns());
        else
            now_ = std::max(now_, std::min(now_ + random_span() / 64, 249 * year));
        const auto end = model_.upper_bound(now_ / tick);
        auto expected = model_.begin();
        timer_node* due = wheel_.expire(now_);
        for (; due != nullptr; due = due->next, ++expected) {
            ASSERT_NE(expected, end) << "fired early";
            ASSERT_EQ(due, expected->second);
            ASSERT_FALSE(wheel_.remove(*due));
            spare_.push_back(due);
        }
        ASSERT_EQ(expected, end) << "not fired";
        model_.erase(model_.begin(), end);
    }

    void check_next_expiry() {
        if (model_.empty()) {
            ASSERT_EQ(wheel_.next_expiry_ns(), timer_wheel::never_ns);
            return;
        }
        ASSERT_LE(wheel_.next_expiry_ns(), model_.begin()->first * tick);
        ASSERT_GE(wheel_.next_expiry_ns(), now_ / tick * tick);
    }

    std::mt19937_64 random_;
    std::int64_t now_;
    timer_wheel wheel_;
    std::deque<timer_node> timers_;
    std::vector<timer_node*> spare_;
    model model_;
};

TEST(TimerWheelModel, AgreesWithAnOrderedMapOnRandomOperations) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        model_test test(seed, seed % 2 == 0 ? 0 : seed * 1'234'567'890'123);
        for (int step = 0; step < 5000; ++step) {
            ASSERT_NO_FATAL_FAILURE(test.step()) << step;
        }
    }
}

TEST(TimerWheelModel, AgreesWithAnOrderedMapWhenAllTimersAreNear) {
    // Many equal and neighbouring ticks, crossing slot boundaries of the lower levels all the time.
    std::mt19937_64 random(99);
    timer_wheel wheel(0);
    std::deque<timer_node> timers(20'000);
    std::multimap<std::int64_t, timer_node*> model;
    std::int64_t now = 0;
    for (auto& each : timers) {
        const auto deadline = now + static_cast<std::int64_t>(random() % 300) * tick;
        wheel.insert(each, deadline);
        model.emplace(deadline / tick, &each);
        if (random() % 4 != 0) continue;
        ++now;
        now += static_cast<std::int64_t>(random() % 20) * tick / 3;
        const auto end = model.upper_bound(now / tick);
        nodes expected;
        for (auto due = model.begin(); due != end; ++due) expected.push_back(due->second);
        ASSERT_EQ(expired(wheel, now), expected);
        model.erase(model.begin(), end);
        now = now / tick * tick;  // keeps deadlines on ticks, so that the model need not round
    }
    EXPECT_EQ(expired(wheel, now + 300 * tick).size(), model.size());
}

}  // namespace
