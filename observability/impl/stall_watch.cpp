#include <belay/observability/impl/stall_watch.hpp>

#include <thread>

namespace belay::detail {
namespace {

constexpr std::chrono::milliseconds second_look{4};  // without a first one; the watchdog waits, no worker does

stall_window between(const thread_times& before, const thread_times& after, std::chrono::nanoseconds lateness) noexcept {
    return {after.when - before.when, after.cpu - before.cpu, after.run_queue - before.run_queue, after.state, lateness};
}

}  // namespace

stall_watch::history& stall_watch::of(unsigned worker) {
    if (worker >= workers_.size()) workers_.resize(worker + 1U);
    return workers_[worker];
}

void stall_watch::suspect(unsigned worker, int tid) { of(worker).before = read_times(tid); }

std::optional<stall_verdict> stall_watch::judge(const worker_stall& stall, std::chrono::nanoseconds threshold) {
    auto& past = of(stall.worker);
    auto started = clock::now() - stall.elapsed;
    // Two polls that are both reported start more than a threshold apart; one poll's computed start moves less than half.
    auto same_poll = [&](const std::optional<clock::time_point>& other) {
        return other && std::chrono::abs(started - *other) < threshold / 2;
    };
    if (same_poll(past.blamed)) return std::nullopt;

    auto now = read_times(stall.tid);
    if (!now.valid) return std::nullopt;
    auto lateness = stall.lateness;
    if (!past.before.valid || past.before.when < started) {
        if (stall.ended) return std::nullopt;  // nothing to compare with, and no poll to look at any more
        past.before = now;
        std::this_thread::sleep_for(second_look);
        now = read_times(stall.tid);
        if (!now.valid) return std::nullopt;
        lateness = {};  // was before these two looks
    }
    // What the thread does by now is not the poll's. Only a poll that was seen asleep may be blamed for sleeping: a virtual CPU
    // that its host took away looks the same afterwards.
    if (stall.ended) now.state = past.before.state;

    stall_verdict verdict;
    verdict.window = between(past.before, now, lateness);
    verdict.found = classify(verdict.window, threshold);
    if (verdict.found == stall_class::starved) {
        verdict.first = !same_poll(past.starved);
        past.starved = started;
    } else {
        verdict.first = true;
        past.blamed = started;
    }
    return verdict;
}

}  // namespace belay::detail
