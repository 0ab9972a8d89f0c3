#include <belay/observability/impl/starvation_report.hpp>

#include <belay/observability/impl/source_text.hpp>

#include <string>

namespace belay::detail {
namespace {

std::string counted(std::uint64_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

bool is_of_one_worker(starved_queue queue) noexcept { return queue != starved_queue::injected && queue != starved_queue::all; }

std::string who_waits(const starvation& found) {
    auto worker = std::to_string(found.worker);
    switch (found.queue) {
    case starved_queue::own: return "a ready task has waited in the queue of worker " + worker;
    case starved_queue::pinned: return "a ready task that is pinned to worker " + worker + " has waited for it";
    case starved_queue::injected: return "a ready task has waited in the injection queue";
    case starved_queue::all: return "a ready task has waited in the workers' queues";
    case starved_queue::timers: return "a timer of worker " + worker + " is late, it has been due";
    }
    return "a ready task has waited";
}

std::string what_waits(const starvation& found) {
    switch (found.queue) {
    case starved_queue::own: return counted(found.waiting, "ready task", "ready tasks") + " in the worker's queue now";
    case starved_queue::pinned: return counted(found.waiting, "ready task", "ready tasks") + " pinned to the worker now";
    case starved_queue::injected: return counted(found.waiting, "ready task", "ready tasks") + " in the injection queue now";
    case starved_queue::all: return counted(found.waiting, "ready task", "ready tasks") + " in all queues now";
    case starved_queue::timers: return counted(found.waiting, "timer", "timers") + " of the worker armed now";
    }
    return {};
}

std::string meanwhile(const starvation& found) {
    auto text = counted(found.polls, "poll", "polls") + (is_of_one_worker(found.queue) ? " by the worker" : " by all workers");
    if (found.budget_yields != 0)
        text += ", " + std::to_string(found.budget_yields) + " of which ended because the task had used up its budget";
    return text;
}

std::string who_runs(const starvation& found) {
    if (found.task.id == 0) return "no task in particular: each ran too briefly to be seen";
    auto text = task_text(found.task) + " at " + std::to_string(found.seen) + " of " + counted(found.looks, "look", "looks");
    if (found.spent != 0) text += ", at " + std::to_string(found.spent) + " of these the last to have used up its budget";
    return text;
}

const char* why(starved_queue queue) noexcept {
    if (queue == starved_queue::timers)
        return "a worker comes to its timers and its I/O every 61 polls: polls that take milliseconds delay deadlines, sleeps and\n"
               "completions by all of them together.";
    return "ready tasks are served in turn, so each waits for all the polls in front of it: requests, acknowledgements and the stop of\n"
           "a scope wait as well. Nearly all the time there was a CPU to run them.";
}

std::string fix(const starvation& found) {
    if (is_budget_hog(found))
        return "that task's operations never have to wait, so that it uses up its whole budget in each poll, and what it does between\n"
               "them takes long. Let it yield sooner, co_await belay::yield() after each piece, or move the computing to a\n"
               "belay::cpu_pool.";
    std::string text =
        "make polls shorter: co_await belay::yield() in loops that compute, and a belay::cpu_pool for what takes a millisecond and\n"
        "more. If each is short, too many are ready at once: bound them, with scope_options::max_tasks, belay::at_most(n) or\n"
        "a channel that is full, or give the runtime more workers.";
    if (found.queue == starved_queue::pinned) text += " No other worker can help out with tasks of spawn_on.";
    return text;
}

}  // namespace

bool is_budget_hog(const starvation& found) noexcept {
    auto is_half = [](std::uint64_t part, std::uint64_t of) { return part != 0 && part * 2 >= of; };
    return is_half(found.seen, found.looks) && is_half(found.spent, found.seen) && is_half(found.budget_yields, found.polls);
}

report describe_starvation(const starvation& found, std::chrono::nanoseconds threshold) {
    report r;
    r.kind = guardrail::starvation;
    r.runtime = found.runtime;
    bool hog = is_budget_hog(found);
    r.what = who_waits(found) + " for " + duration_text(found.waited) + " (limit " + duration_text(threshold) +
             "), and meanwhile others ran" + (hog ? ": BUDGET HOG, " + task_text(found.task) : std::string{});
    r.facts.push_back({"waiting", what_waits(found)});
    r.facts.push_back({"meanwhile", meanwhile(found)});
    r.facts.push_back({"running", who_runs(found)});
    if (found.task.id != 0) {
        r.task_id = found.task.id;
        r.task_name = found.task.name.data();
        r.where.push_back(async_stack(found.task, "running here, or in what it called since"));
        r.spawned = site_text(found.task.spawned);
    } else {
        r.where.push_back({report_stack::shape::list, "what ran is not known", {}});
        r.spawned = "an unknown place";
    }
    r.why = why(found.queue);
    r.fix = fix(found);
    r.silence = "BELAY_GUARDRAILS=starve=log:1s, starve=log or starve=off";
    return r;
}

}  // namespace belay::detail
