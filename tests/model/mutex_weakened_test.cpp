// The checker finds it if a holder gives the lock back although somebody has announced himself: if he does so outside of the queue's lock.
#include <belay/tests/model/model.hpp>

#define atomic model_atomic
#include <belay/runtime/detail/lock_word.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#undef atomic

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>

namespace belay::detail {
namespace {

TEST(ModelLockWordWeakened, AnAnnouncementOutsideOfTheLockIsMissed) {
    auto result = model::explore({.preemptions = 2, .delays = 0}, [](model::run& r) {
        struct shared {
            lock_word word;
            spin_lock lock;
            std::deque<int> queue;
            int done = 0;
            void run(int me) {
                if (!word.acquire_or_announce()) {  // not under the lock
                    std::scoped_lock guard(lock);
                    queue.push_back(me);
                    return;
                }
                ++done;
                if (word.release_if_alone()) return;
                for (;;) {
                    std::scoped_lock guard(lock);
                    if (queue.empty()) return word.release();
                    queue.pop_front();
                    ++done;
                }
            }
        };
        auto s = std::make_shared<shared>();
        r.thread([=] { s->run(1); });
        r.thread([=] { s->run(2); });
        r.at_end([=]() -> std::string { return s->done == 2 ? "" : "one was forgotten"; });
    });
    EXPECT_NE(result.failure.find("one was forgotten"), std::string::npos) << result.failure;
}

}  // namespace
}  // namespace belay::detail
