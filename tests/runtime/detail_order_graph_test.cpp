#include <belay/runtime/detail/order_graph.hpp>

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace belay::detail {
namespace {

using node = order_graph::node;

struct locks {
    order_graph graph;
    std::vector<node> all;

    explicit locks(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) all.push_back(graph.add());
    }
    /// The length of the cycle that is found when task `who` takes `to` under `from`.
    std::size_t note(std::size_t from, std::size_t to, std::uint64_t who, std::initializer_list<std::size_t> under = {}) {
        std::vector<node> gates;
        for (auto gate : under) gates.push_back(all[gate]);
        order_step step;
        step.task = who;
        auto cycle = graph.note(all[from], all[to], who, gates, step);
        if (!cycle.empty()) {
            EXPECT_EQ(cycle.front().task, who);
        }
        return cycle.size();
    }
};

TEST(OrderGraph, FindsTheStepThatClosesACycle) {
    locks l{3};
    EXPECT_EQ(l.note(0, 1, 1), 0U);
    EXPECT_EQ(l.note(1, 2, 2), 0U);
    EXPECT_EQ(l.note(2, 0, 4), 3U);
    EXPECT_EQ(l.note(2, 0, 4), 0U);  // once
}

TEST(OrderGraph, ALongCycleAndOneThatIsTooLong) {
    auto cycle_of = [](std::size_t length) {
        locks l{length};
        for (std::size_t i = 0; i + 1 < length; ++i) EXPECT_EQ(l.note(i, i + 1, i + 1), 0U);
        return l.note(length - 1, 0, length);
    };
    EXPECT_EQ(cycle_of(order_graph::longest_cycle), order_graph::longest_cycle);
    EXPECT_EQ(cycle_of(order_graph::longest_cycle + 1), 0U);
}

TEST(OrderGraph, AnotherWayToALockIsTriedWhereTheFirstDoesNotFit) {
    locks l{4};  // 0 -> 1 is to be closed
    EXPECT_EQ(l.note(1, 2, 1), 0U);
    EXPECT_EQ(l.note(2, 0, 1), 0U);  // by the task that made 1 -> 2
    EXPECT_EQ(l.note(1, 3, 2), 0U);
    EXPECT_EQ(l.note(3, 2, 4), 0U);
    EXPECT_EQ(l.note(0, 1, 3), 4U);
}

TEST(OrderGraph, OneTaskIsNoCycleUntilAnotherOneDoesTheSame) {
    locks l{2};
    EXPECT_EQ(l.note(0, 1, 1), 0U);
    EXPECT_EQ(l.note(1, 0, 1), 0U);
    EXPECT_EQ(l.note(0, 1, 1), 0U);
    EXPECT_EQ(l.note(0, 1, 2), 2U);
}

TEST(OrderGraph, TwoStepsOfOneTaskDoNotHappenTogetherInALongerCycleEither) {
    locks l{3};
    EXPECT_EQ(l.note(0, 1, 1), 0U);
    EXPECT_EQ(l.note(1, 2, 2), 0U);
    EXPECT_EQ(l.note(2, 0, 1), 0U);
    EXPECT_EQ(l.note(2, 0, 3), 3U);
}

TEST(OrderGraph, AGateThatIsAlwaysHeldExcludesIt) {
    locks l{3};
    EXPECT_EQ(l.note(0, 1, 1, {2}), 0U);
    EXPECT_EQ(l.note(1, 0, 2, {2}), 0U);
    EXPECT_EQ(l.note(0, 1, 3), 2U);  // without it this one can meet the other, gated or not
}

TEST(OrderGraph, AnotherWayIsFoundWhereTheFirstIsGated) {
    locks l{4};
    EXPECT_EQ(l.note(0, 1, 1, {3}), 0U);
    EXPECT_EQ(l.note(0, 2, 2), 0U);
    EXPECT_EQ(l.note(2, 1, 3), 0U);
    EXPECT_EQ(l.note(1, 0, 4, {3}), 3U);  // not 0 -> 1 -> 0, whose gate is 3
}

TEST(OrderGraph, WhatIsDestroyedIsForgotten) {
    locks l{3};
    EXPECT_EQ(l.note(0, 1, 1), 0U);
    EXPECT_EQ(l.note(1, 2, 1), 0U);
    l.graph.remove(l.all[1]);
    EXPECT_EQ(l.note(2, 0, 2), 0U);
    l.graph.remove(l.all[1]);  // of no effect
}

TEST(OrderGraph, ALockUnderWhichManyComeAndGoKeepsNoEdgesToThem) {
    order_graph graph;
    node outer = graph.add();
    for (int i = 0; i < 100'000; ++i) {
        node inner = graph.add();
        EXPECT_TRUE(graph.note(outer, inner, 1, {}, {}).empty());
        graph.remove(inner);
    }
    EXPECT_LT(graph.edges(), 64U);
}

TEST(OrderGraph, IsBoundedAndMakesRoom) {
    order_graph graph;
    std::vector<node> made;
    node outer = graph.add();
    for (std::size_t i = 0; i < order_graph::most_edges + 100; ++i) {
        made.push_back(graph.add());
        (void)graph.note(outer, made.back(), 1, {}, {});
    }
    EXPECT_EQ(graph.edges(), order_graph::most_edges);
    for (node gone : made) graph.remove(gone);
    for (std::size_t i = 0; i < 5'000; ++i) (void)graph.note(outer, graph.add(), 1, {}, {});
    EXPECT_LT(graph.edges(), 6'000U);
}

}  // namespace
}  // namespace belay::detail
