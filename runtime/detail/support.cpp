// The small functions that templates in user code call.
#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/token_registry.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/yield.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace belay {
namespace detail {

void operation::waits_for(wait_sources& out) { out.outside(); }

std::size_t worker_count(const runtime_core& core) noexcept { return core.regular_workers; }
std::source_location awaiting_site() noexcept { return this_worker()->current()->leaf->site; }

void fork(record& rec) noexcept { this_worker()->push_fork(rec); }
std::coroutine_handle<> continue_in(record& rec) noexcept { return this_worker()->transfer_from_current(rec); }

void misuse(const char* what) noexcept {
    char line[512];
    int n = std::snprintf(line, sizeof line, "belay: MISUSE: %s\n", what);
    if (n > 0) (void)!::write(STDERR_FILENO, line, std::min(static_cast<std::size_t>(n), sizeof line - 1));
    process_observer().process_aborts();
    std::abort();
}

/// The arguments of a task that never ran, timeout(1s, f()), that are such tasks themselves.
struct given_tasks {
    std::array<std::source_location, 4> made;
    std::size_t count = 0;  // further ones are not named
};

[[gnu::noinline, gnu::cold]] void destroy_never_awaited(std::coroutine_handle<> frame, std::source_location made) noexcept {
    held_guards& here = this_thread_guards();
    if (given_tasks* outer = here.given; outer != nullptr) {
        if (outer->count < outer->made.size()) outer->made[outer->count++] = made;
        frame.destroy();
        return;
    }
    given_tasks given;
    here.given = &given;  // those of a runtime that an argument's destructor drives are strangers: see held_guards::set_aside()
    frame.destroy();
    here.given = nullptr;
    worker* w = this_worker();
    (w != nullptr ? *w->core().watcher : process_observer()).never_awaited(made, std::span{given.made}.first(given.count));
}

void report_lost_error(runtime_core& core, std::string_view scope, std::source_location spawned,
                       const std::exception_ptr& error) noexcept {
    core.watcher->error_lost(scope, spawned, error);
}

void settle_cleanup(outcome how, const std::exception_ptr& error, bool work_failed) {
    if (how != outcome::error)
        return;  // stopped: its grace was over, which shield_group has reported, or a shutdown cut it short
    if (!work_failed) std::rethrow_exception(error);
    record& rec = *this_worker()->current();
    report_lost_error(rec.core(), "finally", site_of_caller(rec), error);
}

bool is_task_stopped(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const task_stopped&) {
        return true;
    } catch (...) {
        return false;
    }
}

namespace {
constinit thread_local held_guards guards_of_this_thread{};

record* current_record() noexcept {
    worker* w = this_worker();
    return w != nullptr ? w->current() : nullptr;
}
}  // namespace

[[gnu::noinline]] held_guards& this_thread_guards() noexcept { return guards_of_this_thread; }

bool stop_requested_here() noexcept {
    record* rec = current_record();
    return rec != nullptr && rec->stop_asked();
}

}  // namespace detail

namespace this_task {

std::uint64_t id() noexcept {
    auto* rec = detail::current_record();
    return rec != nullptr ? rec->id : 0;
}
std::string_view name() noexcept {
    auto* rec = detail::current_record();
    return rec != nullptr ? detail::name_of(*rec) : std::string_view{};
}
std::optional<std::size_t> worker() noexcept {
    auto* w = detail::this_worker();
    if (w == nullptr || w->current() == nullptr || w->is_stand_in()) return std::nullopt;
    return w->index();
}
void set_name(static_name name) noexcept {
    if (auto* rec = detail::current_record()) rec->name.store(name.text, std::memory_order_relaxed);
}
bool stop_requested() noexcept { return detail::stop_requested_here(); }
belay::stop_reason stop_reason() noexcept {
    auto* rec = detail::current_record();
    return rec != nullptr ? rec->asked_why() : belay::stop_reason::none;
}
std::stop_token stop_token() {
    auto* rec = detail::current_record();
    return rec != nullptr ? detail::token_registry::of(rec->node()).token_for(*rec) : std::stop_token{};
}
std::optional<std::chrono::steady_clock::time_point> deadline() noexcept {
    auto* rec = detail::current_record();
    if (rec == nullptr || rec->node().deadline_ns == detail::no_deadline) return std::nullopt;
    return std::chrono::steady_clock::time_point{std::chrono::nanoseconds{rec->node().deadline_ns}};
}

}  // namespace this_task
}  // namespace belay
