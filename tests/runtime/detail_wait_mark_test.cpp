// What the guardrail of starvation says from what it reads: without threads, and with clocks that are handed in.
#include <belay/runtime/detail/runner_tally.hpp>
#include <belay/runtime/detail/starvation_episode.hpp>
#include <belay/runtime/detail/wait_mark.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace belay::detail {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t limit = 250 * ms;

struct row {
    const char* what;
    waiting_time wait;  // wall, cpu, polls, budget yields
    bool expected;
};

const row rows[] = {
    // it fires
    {"the worker computed all the time", {250 * ms, 250 * ms, 10, 0}, true},
    {"long, and nearly all the time", {1000 * ms, 850 * ms, 10, 10}, true},
    {"few long polls", {300 * ms, 290 * ms, 3, 0}, true},
    // it stays silent
    {"not for so long", {249 * ms, 249 * ms, 100, 0}, false},
    {"one poll, which is a stall if anything", {400 * ms, 400 * ms, 1, 0}, false},
    {"the end of a poll, and a long one", {400 * ms, 400 * ms, 2, 0}, false},
    {"no poll at all: the worker sleeps, or the host does not drive it", {400 * ms, 400 * ms, 0, 0}, false},
    {"eight spinners on two CPUs: a fifth of the time", {1250 * ms, 250 * ms, 100, 0}, false},
    {"the host gave three quarters of a CPU", {400 * ms, 300 * ms, 100, 0}, false},
    {"the host gave none for a long time, and then one", {2000 * ms, 300 * ms, 100, 0}, false},
    {"the whole process was stopped, or stood in a debugger", {60'000 * ms, 20 * ms, 3, 0}, false},
    {"tasks that sleep in system calls", {500 * ms, 5 * ms, 50, 0}, false},
    {"long enough, and short of the limit in CPU time", {260 * ms, 240 * ms, 10, 0}, false},
    {"clocks that disagree: negative", {-1, 0, 10, 0}, false},
};

TEST(WaitMark, OnlyTheWorkersOwnTasksAreBlamed) {
    for (const auto& r : rows) EXPECT_EQ(is_starvation(r.wait, limit), r.expected) << r.what;
}

/// A queue that is looked at every 10 ms; the clock is read 1 ms before and after its ends are.
struct looked_at {
    wait_mark mark;
    std::int64_t now = 0;
    work_meter done;
    waiting_time look(std::uint64_t taken, std::uint64_t queued) {
        now += 10 * ms;
        done.cpu_ns += 9 * ms;
        done.polls += 3;
        return mark.look({taken, queued}, done, now - 1 * ms, now + 1 * ms);
    }
};

TEST(WaitMark, AnEmptyQueueNeverWaits) {
    looked_at queue;
    for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.look(7, 7).wall_ns, 0);
}

TEST(WaitMark, AQueueThatIsServedNeverWaitsForLong) {
    looked_at queue;
    for (std::uint64_t i = 0; i < 100; ++i) EXPECT_LE(queue.look(10 * i, 10 * i + 10).wall_ns, 10 * ms);
}

TEST(WaitMark, TheWaitIsALowerBoundWhateverIsQueuedBehind) {
    looked_at queue;
    EXPECT_EQ(queue.look(5, 9).wall_ns, 0);  // four are there
    auto wait = queue.look(5, 100);
    EXPECT_EQ(wait.wall_ns, 8 * ms);  // from after the first look to before this one
    EXPECT_EQ(wait.cpu_ns, 9 * ms);
    EXPECT_EQ(wait.polls, 3U);
    EXPECT_EQ(queue.look(8, 1000).wall_ns, 18 * ms);  // one of the four is left
    EXPECT_EQ(queue.look(9, 1000).wall_ns, 0);        // none is: the others are newer than they look
    EXPECT_EQ(queue.look(10, 1000).wall_ns, 8 * ms);
}

TEST(WaitMark, WhatIsStartedAnewHasNotWaited) {
    looked_at queue;
    queue.look(0, 5);
    EXPECT_GT(queue.look(0, 5).wall_ns, 0);
    queue.mark.restart({0, 5}, queue.done, queue.now + 1 * ms);  // the watchdog was late, or a poll has stalled
    EXPECT_EQ(queue.look(0, 5).wall_ns, 8 * ms);
}

TEST(WaitMark, OfACrowdSomeWaitUntilThereWereAsManyPolls) {
    wait_mark mark;
    work_meter done;
    auto look = [&](std::uint64_t polls, std::uint64_t ready, std::int64_t now, std::uint64_t doubtful = 0) {
        done.polls = polls;
        return mark.look(crowd_of(polls, ready, doubtful), done, now, now).wall_ns;
    };
    EXPECT_EQ(look(100, 50, 10 * ms), 0);
    EXPECT_EQ(look(149, 200, 20 * ms), 10 * ms);
    EXPECT_EQ(look(150, 200, 30 * ms), 0) << "each may have run";
    EXPECT_EQ(look(349, 0, 40 * ms), 10 * ms) << "one of the 200 has not, wherever it is while it moves";
    EXPECT_EQ(look(350, 5, 50 * ms, 6), 0);
    EXPECT_EQ(look(350, 5, 60 * ms, 3), 0) << "there may have been none";
    EXPECT_EQ(look(351, 9, 70 * ms), 10 * ms) << "two were there";
    EXPECT_EQ(look(352, 9, 80 * ms), 0);
}

constexpr unsigned all = starvation_episode::any_worker;
constexpr const char* hog = "hog";  // an address
constexpr const char* another = "another";

TEST(StarvationEpisode, OneCauseIsToldOnce) {
    starvation_episode episode;
    EXPECT_TRUE(episode.tell(starved_queue::injected, all, hog));
    EXPECT_FALSE(episode.tell(starved_queue::injected, all, hog));
    EXPECT_FALSE(episode.tell(starved_queue::timers, 0, hog));
    EXPECT_FALSE(episode.tell(starved_queue::pinned, 1, hog));
    EXPECT_FALSE(episode.tell(starved_queue::own, 1, another)) << "all workers are too busy, whoever is seen on this one";
    EXPECT_FALSE(episode.tell(starved_queue::own, 1, nullptr));
    EXPECT_TRUE(episode.tell(starved_queue::pinned, 1, another)) << "nobody else may run these";
    EXPECT_FALSE(episode.tell(starved_queue::timers, 1, "a third")) << "for this worker it has been told";
}

TEST(StarvationEpisode, TwoWorkersMayHaveCausesOfTheirOwn) {
    starvation_episode episode;
    EXPECT_TRUE(episode.tell(starved_queue::pinned, 1, hog));
    EXPECT_FALSE(episode.tell(starved_queue::pinned, 2, hog));
    EXPECT_TRUE(episode.tell(starved_queue::pinned, 0, another));
    EXPECT_TRUE(episode.tell(starved_queue::all, all, "a third"));
    EXPECT_FALSE(episode.tell(starved_queue::injected, all, "a fourth"));
}

TEST(StarvationEpisode, ItIsOverWhenNothingHasWaitedForLong) {
    starvation_episode episode;
    EXPECT_TRUE(episode.tell(starved_queue::own, 0, hog));
    episode.note(true, 1000 * ms, limit);
    episode.note(false, 1249 * ms, limit);
    EXPECT_FALSE(episode.tell(starved_queue::own, 0, hog));
    episode.note(true, 1250 * ms, limit);
    episode.note(false, 1499 * ms, limit);
    EXPECT_FALSE(episode.tell(starved_queue::own, 0, hog));
    episode.note(false, 1500 * ms, limit);
    EXPECT_TRUE(episode.tell(starved_queue::own, 0, hog));
    episode.end();
    EXPECT_TRUE(episode.tell(starved_queue::own, 0, hog));
}

TEST(StarvationEpisode, AnEndlessListIsCut) {
    starvation_episode episode;
    const char causes[100] = {};
    unsigned told = 0;
    for (unsigned i = 0; i < 100; ++i) told += episode.tell(starved_queue::pinned, i, &causes[i]) ? 1 : 0;
    EXPECT_EQ(told, 8U);
}

task_snapshot task_of(std::uint64_t id) {
    task_snapshot task;
    task.id = id;
    return task;
}

TEST(RunnerTally, KnowsWhoWasSeenMostOften) {
    runner_tally tally;
    EXPECT_EQ(tally.most_seen(0).seen, 0U);
    for (unsigned i = 0; i < 20; ++i) {
        tally.begin_look();
        tally.add(0, task_of(i % 4 == 0 ? 100 + i : 7), i % 2 == 1);
        tally.add(1, task_of(200 + i), false);  // each time another one
    }
    auto most = tally.most_seen(0);
    EXPECT_EQ(most.task.id, 7U);
    EXPECT_EQ(most.seen, 15U);
    EXPECT_EQ(most.spent, 10U);
    EXPECT_EQ(tally.looks(), 20U);
    EXPECT_EQ(tally.most_seen(runner_tally::any_worker).task.id, 7U);
    tally.clear();
    EXPECT_EQ(tally.most_seen(0).seen, 0U);
}

TEST(RunnerTally, FollowsATaskFromWorkerToWorker) {
    runner_tally tally;
    for (unsigned i = 0; i < 6; ++i) {
        tally.begin_look();
        tally.add(i % 3, task_of(7), true);
        if (i < 3) tally.add(3, task_of(8), false);
    }
    EXPECT_EQ(tally.most_seen(runner_tally::any_worker).task.id, 7U);
    EXPECT_EQ(tally.most_seen(runner_tally::any_worker).seen, 6U);
    EXPECT_EQ(tally.most_seen(3).task.id, 8U);
}

TEST(RunnerTally, ATaskThatMovesDuringALookIsSeenOnce) {
    runner_tally tally;
    for (unsigned i = 0; i < 5; ++i) {
        tally.begin_look();
        tally.add(0, task_of(7), true);
        tally.add(1, task_of(7), true);
    }
    EXPECT_EQ(tally.most_seen(runner_tally::any_worker).seen, 5U);
}

}  // namespace
}  // namespace belay::detail
