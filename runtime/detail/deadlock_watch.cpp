#include <belay/runtime/detail/deadlock_watch.hpp>

#include <belay/runtime/detail/deadlock_search.hpp>
#include <belay/runtime/detail/standstill.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/scope.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace belay::detail {
namespace {

constexpr std::int64_t busy_periods = 60;
// Others wait while the last poll goes on, and then while tasks are looked at.
constexpr std::int64_t longest_patience_ns = 1'000'000;
constexpr std::size_t most_tasks_while_busy = 2'500;
constexpr std::size_t most_tasks_while_idle = 4'000'000'000;

}  // namespace

deadlock_watch::deadlock_watch(runtime_core& core) noexcept
    : core_{core},
      period_ns_{standstill::possible() ? core.watcher->deadlock_period().count() : 0},
      patience_ns_{core.takeover_tick_ns > 0 ? std::min(core.takeover_tick_ns, longest_patience_ns) : longest_patience_ns},
      busy_wait_ns_{period_ns_ * busy_periods} {
    if (on()) busy_due_ns_ = saturating_add(now_ns(), busy_wait_ns_);
}

void deadlock_watch::begin_idle(std::int64_t now) noexcept {
    idle_wait_ns_ = period_ns_;
    idle_due_ns_ = saturating_add(now, idle_wait_ns_);
}

/// Again later, at growing distances: another thread that gives up the last thing that could have helped wakes nobody.
void deadlock_watch::look_idle(std::int64_t now) noexcept {
    search(most_tasks_while_idle, true);
    idle_wait_ns_ = std::min(idle_wait_ns_ * 2, period_ns_ * busy_periods);
    idle_due_ns_ = saturating_add(now, idle_wait_ns_);
}

/// After a failure sooner, but at growing distances: a runtime that cannot be searched must not be halted again and again.
void deadlock_watch::look_busy(std::int64_t now) noexcept {
    if (now < busy_due_ns_) return;
    bool done = core_.root->size() == 0 || search(most_tasks_while_busy, false);
    std::int64_t usual_ns = period_ns_ * busy_periods;
    busy_wait_ns_ = done ? usual_ns : busy_wait_ns_ == usual_ns ? period_ns_ : std::min(busy_wait_ns_ * 2, usual_ns);
    busy_due_ns_ = saturating_add(now, busy_wait_ns_);
}

/// False if it has not come to a result.
bool deadlock_watch::search(std::size_t most_tasks, bool give_way) noexcept {
    try {
        std::optional<deadlock_search::finding> found;
        {
            deadlock_search searched{core_};  // prepares what can be, before all stand still
            standstill still{core_, patience_ns_};
            if (still) found = searched.run(most_tasks, give_way ? &still : nullptr);
        }
        if (!found) return false;
        bool news = !std::ranges::includes(told_, found->ids);
        told_ = std::move(found->ids);
        if (news) core_.watcher->deadlocked({core_.name, found->tasks, told_.size(), found->behind});
    } catch (...) {  // no memory: another time
        return false;
    }
    return true;
}

}  // namespace belay::detail
