#include <belay/runtime/detail/simulator.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/injected_fault.hpp>
#include <belay/runtime/detail/task_list.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace belay::detail {
namespace {

constexpr std::int64_t beginning_ns = 1'000'000'000'000;  // not 0: what was long ago has a time too
constexpr int longest_run = 64;  // steps of one task in a row, when nothing interferes: others must not starve
constexpr std::size_t shutdown_steps = 10'000'000;
constexpr std::uint64_t lowest_of_new = std::uint64_t{1} << 32U;  // a priority that was taken away is below
// pct spreads its changes over the steps that are expected. From there on one more each so many steps: else a task that polls, and so is
// always ready, would keep the others away for ever.
constexpr std::size_t change_each = 1'000;

void check(const simulation_options& o) {
    if (o.workers == 0 || o.workers > max_workers)
        throw std::invalid_argument("belay: simulation_options.workers must be between 1 and 256");
    if (o.pct_depth == 0) throw std::invalid_argument("belay: simulation_options.pct_depth must be at least 1");
    if (o.max_steps == 0) throw std::invalid_argument("belay: simulation_options.max_steps must be at least 1");
    if (o.step_time.count() < 0) throw std::invalid_argument("belay: simulation_options.step_time must not be negative");
}

}  // namespace

simulator::simulator(const simulation_options& options)
    : options_{options}, clock_{beginning_ns}, choosing_{options.seed}, placing_{~options.seed} {
    check(options_);
    if (options_.replay) log_ = choice_log{*options_.replay};
    bool odd = (options_.seed & 1U) != 0;
    by_priority_ = options_.how == interleaving::pct || (options_.how == interleaving::mixed && odd);
    // Most runs are interrupted after each operation, some only where tasks wait: that is the other path through each operation. Not by
    // a choice: it must not change when a schedule is made simpler.
    budget_ = options_.seed % 8 == 6 ? worker::budget_per_poll : 0;
    if (!by_priority_) return;
    auto among = static_cast<std::uint32_t>(std::clamp<std::size_t>(options_.expected_steps, 1, 1U << 30U));
    for (unsigned i = 1; i < options_.pct_depth; ++i) changes_.push_back(1 + choosing_.below(among));
    std::ranges::sort(changes_, std::greater<>{});
    next_change_ = options_.expected_steps + change_each;
    lowest_ = lowest_of_new;
}

simulator::~simulator() = default;

std::chrono::nanoseconds simulator::elapsed() const noexcept { return std::chrono::nanoseconds{clock_.now_ns - beginning_ns}; }

void simulator::attach(runtime_core& core) noexcept {
    core_ = &core;
    due_.resize(core.workers.size());
    for (auto& w : core.workers) {
        w->rng_ = static_cast<std::uint32_t>(placing_.next());
        w->tid.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
        w->pthread.store(static_cast<std::uint64_t>(::pthread_self()), std::memory_order_relaxed);
        w->port_->bind_owner();
    }
}

// ---- driving ---------------------------------------------------------------------------------------------------

class simulator::turn {
public:
    explicit turn(simulator& of) noexcept : of_{of} {
        of_.running_ = true;
        for (auto& w : of_.core_->workers) w->stack_top = this;
        of_.core_->watcher->worker_began();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() {
        of_.core_->watcher->worker_ended();
        of_.running_ = false;
    }

private:
    simulator& of_;
    guards_aside outer_;
};

simulator::ending simulator::run(const bool& done, std::size_t max_steps) {
    turn here{*this};
    for (std::size_t last = steps_ + max_steps; !done;) {
        if (steps_ >= last) return ending::too_many_steps;
        if (!step(no_deadline)) return ending::stuck;
    }
    return ending::done;
}

bool simulator::run_out(std::int64_t deadline_ns, bool (*done)(runtime_core&)) {
    turn here{*this};
    try {
        for (std::size_t last = steps_ + shutdown_steps; !done(*core_);)
            if (steps_ >= last || !step(deadline_ns)) return false;
        finish_jobs();
    } catch (...) {  // of on_step: nobody could hear of it
        give_up();
        return false;
    }
    return true;
}

/// Of tasks that did not wait for the end of what they had begun.
void simulator::finish_jobs() {
    for (collect_jobs(); !ready_.empty(); collect_jobs()) {
        auto job = std::ranges::find(ready_, kind::job, &item::what);
        if (job == ready_.end()) return;
        perform(take(static_cast<std::size_t>(job - ready_.begin())));
    }
}

/// False: nothing can happen any more, or nothing before the limit.
bool simulator::step(std::int64_t limit_ns) {
    if (given_up_) return false;
    for (collect(); ready_.empty(); collect())
        if (!advance(limit_ns)) return false;
    auto count = static_cast<std::uint32_t>(ready_.size());
    std::size_t index = 0;
    pick_ = 0;
    if (count > 1) {
        // The first alternative is what happens when nothing interferes, so that a schedule is simple where the run is.
        std::size_t first = usual();
        std::size_t proposed = log_.replays() ? first : proposal();
        pick_ = log_.take(static_cast<std::uint32_t>((proposed + count - first) % count), count);
        index = (first + pick_) % count;
    }
    item next = take(index);
    clock_.now_ns = saturating_add(clock_.now_ns, options_.step_time.count());
    ++steps_;
    perform(next);
    if (options_.on_step) options_.on_step(steps_);
    return true;
}

/// Nothing is ready: to the time of the next thing that will be.
bool simulator::advance(std::int64_t limit_ns) noexcept {
    std::int64_t next = events_.empty() ? no_deadline : events_.top().at_ns;
    for (auto& w : core_->workers) next = std::min(next, w->next_timer_ns());
    if (next == no_deadline) return false;
    bool in_time = next <= limit_ns;
    clock_.now_ns = std::max(clock_.now_ns, in_time ? next : limit_ns);
    return in_time;
}

// ---- what is ready ---------------------------------------------------------------------------------------------

void simulator::collect() {
    if (lookout_ != nullptr) lookout_->look();
    for (auto& w : core_->workers) collect_timers(*w);
    for (; !events_.empty() && events_.top().at_ns <= clock_.now_ns; events_.pop())
        ready_.push_back({.what = kind::event, .event = events_.top().event, .pool = nullptr, .priority = 0});
    collect_jobs();
    while (record* rec = core_->take_injected(core_->workers.front())) add_task(*rec);
    for (auto& w : core_->workers) collect_tasks(*w);
}

/// A worker fires what is due at once, and late: tasks may run before, which may take timers back.
void simulator::collect_timers(worker& w) {
    if (w.next_timer_ns() > clock_.now_ns || due_[w.index()]) return;
    due_[w.index()] = true;
    ready_.push_back({.what = kind::timer, .timers = &w, .pool = nullptr, .priority = 0});
}

void simulator::collect_tasks(worker& w) {
    if (record* rec = w.take_lifo()) add_task(*rec);
    while (record* rec = w.fork_.steal()) add_task(*rec);
    while (record* rec = w.wake_.steal()) add_task(*rec);
    while (record* rec = w.pinned.pop()) add_task(*rec);
}

void simulator::collect_jobs() {
    if (pools_.empty()) return;
    for (auto& pool : pools_)
        while (blocking_job* job = pool->take_simulated())
            ready_.push_back({.what = kind::job, .job = job, .pool = pool.get(), .priority = 0});
    std::erase_if(pools_, [](const auto& pool) { return !pool->has_simulated(); });
}

void simulator::add_task(record& rec) {
    if (rec.seen == 0) {  // 65,535 numbers: further tasks share the priorities of older ones
        if (priorities_.size() < 0xffff) priorities_.push_back(0);
        rec.seen = static_cast<std::uint16_t>(1 + tasks_seen_++ % 0xffff);
        if (by_priority_) priorities_[rec.seen - 1U] = choosing_.next() | lowest_of_new;
    }
    ready_.push_back({.what = kind::task, .task = &rec, .pool = nullptr, .priority = 0});
}

void simulator::has_jobs(blocking_core& pool) {
    if (std::ranges::find(pools_, &pool, [](const auto& p) { return p.get(); }) == pools_.end())
        pools_.push_back(pool.shared_from_this());
}

void simulator::post(sim_event& event, std::int64_t at_ns) { events_.push({at_ns, event_order_++, &event}); }

// ---- choosing --------------------------------------------------------------------------------------------------

/// Which one it is when nothing interferes: the task that ran last, for a while, else what has been ready for longest.
std::size_t simulator::usual() const noexcept {
    if (last_ == nullptr || in_a_row_ >= longest_run) return 0;
    constexpr std::size_t near = 16;  // it comes last, but for what it has woken
    for (std::size_t i = ready_.size(); i > 0 && i + near > ready_.size(); --i)
        if (ready_[i - 1].what == kind::task && ready_[i - 1].task == last_) return i - 1;
    return 0;
}

std::size_t simulator::proposal() {
    if (options_.how == interleaving::calm) return usual();
    if (!by_priority_) return choosing_.below(static_cast<std::uint32_t>(ready_.size()));
    for (; !changes_.empty() && changes_.back() <= steps_; changes_.pop_back()) priority_of(highest()) = --lowest_;
    if (next_change_ <= steps_) {
        next_change_ = steps_ + change_each;
        priority_of(highest()) = --lowest_;
    }
    return highest();
}

std::size_t simulator::highest() noexcept {
    std::size_t best = 0;
    for (std::size_t i = 1; i < ready_.size(); ++i)
        if (priority_of(i) > priority_of(best)) best = i;
    return best;
}

std::uint64_t& simulator::priority_of(std::size_t i) noexcept {
    item& one = ready_[i];
    if (one.what == kind::task) return priorities_[one.task->seen - 1U];
    if (one.priority == 0) one.priority = choosing_.next() | lowest_of_new;
    return one.priority;
}

std::uint32_t simulator::choose(std::uint32_t count, std::uint32_t rarity) {
    if (count < 2) return 0;
    std::uint32_t proposed = 0;
    if (!log_.replays() && options_.how != interleaving::calm && choosing_.below(rarity) == 0)
        proposed = 1 + choosing_.below(count - 1);
    return log_.take(proposed, count);
}

std::uint32_t simulator::draw(std::uint32_t count) {
    if (count < 2) return 0;
    bool quiet = log_.replays() || options_.how == interleaving::calm;
    return log_.take(quiet ? 0 : choosing_.below(count), count);
}

simulator::item simulator::take(std::size_t i) {
    item one = ready_[i];
    ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(i));  // moves the shorter part
    return one;
}

// ---- a step ----------------------------------------------------------------------------------------------------

worker& simulator::place(const record& rec) noexcept {
    if (rec.pinned()) return core_->workers[rec.home - 1U];
    return core_->workers[placing_.below(static_cast<std::uint32_t>(core_->workers.size()))];
}

void simulator::perform(const item& next) {
    worker* w = nullptr;
    if (next.what == kind::task) w = &place(*next.task);
    if (next.what == kind::timer) w = next.timers;
    note(next, w != nullptr ? w->index() : 0);
    in_a_row_ = next.what == kind::task && next.task == last_ ? in_a_row_ + 1 : 0;
    last_ = next.what == kind::task ? next.task : nullptr;
    suspended_ = nullptr;
    set_this_worker(w);
    switch (next.what) {
    case kind::task: run_task(*w, *next.task); break;
    case kind::timer:
        due_[w->index()] = false;
        w->fire_timers(clock_.now_ns);
        break;
    case kind::job: next.pool->run_simulated(*next.job); break;
    case kind::event: next.event->happen(); break;
    }
    set_this_worker(nullptr);
}

void simulator::run_task(worker& w, record& rec) {
    if (failing_ == &rec) {
        failing_ = nullptr;
        if (rec.is_stopped() && !rec.stop_asked() && !fail_leaf(rec, failure_)) return;
    }
    suspended_ = w.poll(&rec, budget_);
}

bool simulator::fail_last(const std::exception_ptr& error) {
    record* rec = suspended_;
    if (rec == nullptr || failing_ != nullptr || !can_fail(*rec) || rec->stop_asked()) return false;
    auto word = rec->slot.load(std::memory_order_acquire);
    if (word <= record::completed || (word & (record::claimed_bit | record::released_bit)) != 0) return false;
    if (dynamic_cast<group*>(reinterpret_cast<operation*>(word)) != nullptr) return false;
    failing_ = rec;
    failure_ = error;
    stop_walk walk;
    walk.add(*rec);
    walk.run();
    return true;
}

void simulator::note(const item& next, unsigned worker_index) {
    sim_step step{.at = elapsed(), .worker = worker_index, .pick = pick_};
    switch (next.what) {
    case kind::task: {
        const record& rec = *next.task;
        step.what = "task";
        step.task = rec.id;
        step.place = rec.leaf != nullptr ? rec.leaf->site : rec.spawn_site();
        name_of(rec).copy(step.name.data(), step.name.size() - 1);
        break;
    }
    case kind::timer: step.what = "timers"; break;
    case kind::job:
        step.what = "blocking function";
        if (const record* rec = next.job->awaiting()) step.task = rec->id;
        break;
    case kind::event: step.what = next.event->what(); break;
    }
    auto mix = [this](std::uint64_t value) { fingerprint_ = (fingerprint_ ^ value) * 1099511628211ULL; };  // FNV-1a
    mix(static_cast<std::uint64_t>(next.what));
    mix(step.task);
    mix(step.place.line());
    mix(static_cast<std::uint64_t>(step.at.count()));
    if (!options_.trace) return;
    if (next.what == kind::task) {
        const promise_base* frame = next.task->leaf;
        while (frame != nullptr && frame->parent != nullptr && is_own_code(frame->site)) frame = frame->parent;
        step.place = frame != nullptr ? frame->site : std::source_location{};  // it begins: where it was spawned is no news
    }
    trace_.push_back(step);
}

}  // namespace belay::detail
