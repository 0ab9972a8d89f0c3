// What a stop becomes at a boundary. Stopped passes through only if an enclosing scope was stopped; otherwise it becomes a
// value or an exception of the caller's world. Deadlines are in timeout_test, branches in when_all_test and when_any_test,
// joins in join_handle_test, block_on in runtime_test, blocking calls in blocking_test.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Stop : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(Stop, AScopesOwnRequestStopReturnsNormallyFromAScopeWithoutAValue) {
    bool went_on = false;
    rt.block_on([&]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            s.spawn(never);
            s.request_stop();
            co_await never();
            ADD_FAILURE() << "the body went on";
        });
        went_on = true;
        co_await yield();  // the caller is as good as before
    });
    EXPECT_TRUE(went_on);
}

TEST_F(Stop, AScopesOwnRequestStopThrowsTaskStoppedFromAScopeThatOwesAValue) {
    rt.block_on([&]() -> task<> {
        try {
            co_await with_scope([](scope& s) -> task<int> {
                s.request_stop();
                co_await never();
                co_return 1;
            });
            ADD_FAILURE() << "no task_stopped";
        } catch (const task_stopped& e) {
            EXPECT_EQ(e.reason(), stop_reason::requested);
        }
    });
}

TEST_F(Stop, AValueThatTheBodyReturnsInSpiteOfTheStopIsDelivered) {
    rt.block_on([&]() -> task<> {
        int n = co_await with_scope([](scope& s) -> task<int> {
            s.spawn(never);
            s.request_stop();
            co_return 5;
        });
        EXPECT_EQ(n, 5);
    });
}

TEST_F(Stop, AStopOfTheEnclosingScopePassesThroughEveryBoundary) {
    std::atomic<int> live{0};
    auto wait = [&]() -> task<> {
        counted local{live};
        co_await never();
    };
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                try {
                    co_await with_scope([&](scope& inner) -> task<> {
                        inner.spawn(wait);
                        co_await when_all(timeout(1h, wait()), try_timeout(1h, wait()), wait());
                    });
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 4; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Stop, WithAnOwnStopAndAnEnclosingOneItPassesThrough) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            outer.spawn([&]() -> task<> {
                co_await with_scope([&](scope& inner) -> task<> {
                    inner.request_stop();
                    outer.request_stop();
                    co_await never();
                });
                ADD_FAILURE() << "went on after a stop of the enclosing scope";
            });
            co_return;
        });
    });
}

TEST_F(Stop, AScopeInWhichNothingWasStoppedDeliversAlthoughTheEnclosingOneWas) {
    std::atomic<bool> delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            outer.spawn([&]() -> task<> {
                int n = co_await with_scope([&](scope&) -> task<int> {
                    outer.request_stop();
                    co_return 6;
                });
                delivered = n == 6;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_return;
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(Stop, AStopOfAnInnerScopeDoesNotTouchItsSurroundings) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        gate shut;
        co_await with_scope([&](scope& outer) -> task<> {
            outer.spawn([&]() -> task<> {
                counted local{live};
                co_await shut.wait();
                co_await yield();
            });
            co_await until([&] { return shut.waiting() == 1; });
            co_await with_scope([&](scope& inner) -> task<> {
                inner.spawn(never);
                inner.request_stop();
                co_return;
            });
            EXPECT_EQ(live, 1);
            EXPECT_FALSE(outer.stop_requested());
            shut.open();
        });
    });
}

// Promise 3, level-triggered.
TEST_F(Stop, EveryLaterSuspensionStopsToo) {
    std::atomic<int> unwound{0};
    struct tries_again {
        std::atomic<int>& n;
        ~tries_again() { ++n; }
    };
    rt.block_on([&]() -> task<> {
        for (int kind = 0; kind < 7; ++kind) {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&, kind]() -> task<> {
                    tries_again t{unwound};
                    s.request_stop();
                    gate shut;
                    auto unit = []() -> task<> { co_return; };
                    switch (kind) {
                    case 0: co_await yield(); break;
                    case 1: co_await checkpoint(); break;
                    case 2: co_await sleep_for(0s); break;
                    case 3: co_await shut.wait(); break;
                    case 4: co_await when_all(unit(), unit()); break;
                    case 5: co_await when_any(unit(), unit()); break;
                    case 6: co_await with_scope([&](scope&) { return unit(); }); break;
                    default: break;
                    }
                    ADD_FAILURE() << "passed suspension " << kind << " in a stopped scope";
                });
                co_return;
            });
        }
    });
    EXPECT_EQ(unwound, 7);
}

TEST_F(Stop, ReachesEveryLeafOfATreeOfScopesHoweverWideAndDeep) {
    std::atomic<int> live{0};
    struct tree {
        static task<> grow(int depth, std::atomic<int>& n) {
            if (depth == 0) {
                counted local{n};
                co_await never();
            } else {
                co_await with_scope([&](scope& s) -> task<> {
                    for (int i = 0; i < 4; ++i) s.spawn(grow, depth - 1, std::ref(n));
                    co_return;
                });
            }
        }
    };
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(tree::grow, 5, std::ref(live));
            co_await until([&] { return live == 1024; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Stop, MayBeRequestedByAPlainThread) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        std::thread outside;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 100; ++i) {
                s.spawn([&]() -> task<> {
                    counted local{live};
                    co_await never();
                });
            }
            co_await until([&] { return live == 100; });
            std::atomic<bool> done{false};
            outside = std::thread{[&] {
                s.request_stop();
                done = true;
            }};
            while (!done) std::this_thread::yield();  // keeps the scope alive for the thread
        });
        EXPECT_EQ(live, 0);
        outside.join();
    });
}

TEST_F(Stop, ASiblingsErrorIsTheReasonThatTheOthersSee) {
    std::atomic<stop_reason> reason{stop_reason::none};
    rt.block_on([&]() -> task<> {
        std::atomic<bool> running{false};
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         s.spawn([&]() -> task<> {
                             running = true;
                             while (!this_task::stop_requested()) std::this_thread::yield();
                             reason = this_task::stop_reason();
                             co_return;
                         });
                         co_await until([&] { return running.load(); });
                         throw std::runtime_error("sibling");
                     }),
                     std::runtime_error);
    });
    EXPECT_EQ(reason.load(), stop_reason::sibling_failed);
}

TEST_F(Stop, TheFirstReasonStays) {
    rt.block_on([&]() -> task<> {
        co_await with_scope({.deadline = 1h}, [&](scope& s) -> task<> {
            s.request_stop();
            s.request_stop();
            EXPECT_EQ(this_task::stop_reason(), stop_reason::requested);
            co_return;
        });
    });
}

TEST_F(Stop, ChildrenThatAreSpawnedWhileUnwindingAreJoinedToo) {
    std::atomic<int> began{0}, live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            struct spawns_at_the_end {
                scope& in;
                std::atomic<int>& began;
                std::atomic<int>& live;
                ~spawns_at_the_end() {
                    in.spawn([&b = began, &l = live]() -> task<> {
                        counted local{l};
                        ++b;
                        co_await yield();
                        ADD_FAILURE() << "went on in a stopped scope";
                    });
                }
            };
            s.spawn([&]() -> task<> {
                spawns_at_the_end local{s, began, live};
                co_await never();
            });
            co_await yield();
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
    EXPECT_EQ(began, 1);
}

}  // namespace
}  // namespace belay
