// The same protocol with its seq_cst stores made weaker: the checker must see the difference, or the tests beside it say nothing.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#define memory_order_seq_cst memory_order_release
#include <belay/runtime/detail/stop_walk.hpp>
#include <belay/runtime/operation.hpp>
#undef memory_order_seq_cst
#undef atomic

#include <belay/tests/model/slot_world.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace belay::detail {
namespace {

TEST(ModelSlot, WithoutItsStoreLoadEdgeAStopIsMissed) {
    auto result = model::explore({}, [](model::run& r) {
        auto w = std::make_shared<world>();
        r.thread([=] { w->op.suspend(w->rec); });
        r.thread([=] { w->stop(); });
        r.at_end([=]() -> std::string { return w->rec.queued == 1 ? "" : "a task that was stopped waits for ever"; });
    });
    EXPECT_EQ(result.failure, "a task that was stopped waits for ever");
}

}  // namespace
}  // namespace belay::detail
