// The same deque with its seq_cst stores made weaker: the checker must see the difference, or the tests beside it say nothing.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#define memory_order_seq_cst memory_order_release
#include <belay/runtime/detail/work_queue.hpp>
#undef memory_order_seq_cst
#undef atomic

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

namespace {

struct item {
    int taken = 0;
};

TEST(ModelWorkQueue, WithoutItsStoreLoadEdgeAnItemIsTakenTwice) {
    auto result = model::explore({}, [](model::run& r) {
        auto items = std::make_shared<std::array<item, 2>>();
        auto queue = std::make_shared<belay::detail::work_queue<item>>();
        auto take = [](item* one) {
            if (one != nullptr) ++one->taken;
        };
        for (item& one : *items) queue->push(&one);
        r.thread([=] {
            take(queue->pop());
            take(queue->pop());
        });
        r.thread([=] {
            take(queue->steal());
            take(queue->steal());
        });
        r.at_end([=]() -> std::string { return (*items)[0].taken > 1 || (*items)[1].taken > 1 ? "taken twice" : ""; });
    });
    EXPECT_EQ(result.failure, "taken twice");
}

}  // namespace
