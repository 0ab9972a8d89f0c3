// What scripts/gdb/belay.py begins with: the list of the runtimes that are alive.
#include <belay/runtime/detail/live_runtimes.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using belay::detail::runtime_core;
using belay::detail::runtime_place;

std::size_t places() {
    std::size_t n = 0;
    for (auto* at = belay::detail::runtime_places.load(); at != nullptr; at = at->next) ++n;
    return n;
}

std::vector<const runtime_core*> listed() {
    std::vector<const runtime_core*> all;
    for (auto* at = belay::detail::runtime_places.load(); at != nullptr; at = at->next)
        if (auto* core = at->runtime.load()) all.push_back(core);
    return all;
}

TEST(LiveRuntimes, ARuntimeIsListedOnceAndAsLongAsItLives) {
    EXPECT_TRUE(listed().empty());
    std::optional<belay::runtime> one{std::in_place, belay::runtime_options{.workers = 1}};
    const runtime_core* core = &one->core();
    EXPECT_EQ(listed(), std::vector{core});
    {
        belay::local_runtime two;
        EXPECT_EQ(listed().size(), 2U);
    }
    EXPECT_EQ(listed(), std::vector{core});
    one.reset();
    EXPECT_TRUE(listed().empty());
}

TEST(LiveRuntimes, OneThatCouldNotBeMadeIsNotListed) {
    EXPECT_THROW(belay::runtime{{.guardrails = "no=such"}}, std::invalid_argument);
    EXPECT_TRUE(listed().empty());
}

TEST(LiveRuntimes, EachIsListedOnceWhileOthersComeAndGo) {
    std::vector<std::thread> makers;
    for (int i = 0; i < 4; ++i) {
        makers.emplace_back([] {
            long nothing = 0;  // only its address is listed
            auto& one = reinterpret_cast<runtime_core&>(nothing);
            for (int n = 0; n < 2'000; ++n) {
                belay::detail::list_runtime(one);
                EXPECT_EQ(std::ranges::count(listed(), &one), 1);
                belay::detail::unlist_runtime(one);
            }
        });
    }
    for (auto& maker : makers) maker.join();
    EXPECT_TRUE(listed().empty());
}

TEST(LiveRuntimes, PlacesAreUsedAgain) {
    { belay::local_runtime one; }
    std::size_t before = places();
    for (int n = 0; n < 20; ++n) belay::local_runtime one{{.guardrails = "all=off"}};
    EXPECT_EQ(places(), before);
}

}  // namespace
