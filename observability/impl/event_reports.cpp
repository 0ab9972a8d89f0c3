#include <belay/observability/impl/event_reports.hpp>

#include <belay/observability/impl/source_text.hpp>
#include <belay/observability/impl/symbols.hpp>
#include <belay/observability/impl/syscall_text.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace belay::detail {
namespace {

constexpr std::size_t tasks_shown = 16;
constexpr int nested_shown = 4;

void add_nested(std::string& text, const std::exception& error, int depth) {
    if (depth == nested_shown) return;
    try {
        std::rethrow_if_nested(error);
    } catch (const std::exception& inner) {
        text += "; because of " + demangled(typeid(inner).name()) + ": " + inner.what();
        add_nested(text, inner, depth + 1);
    } catch (...) {
        text += "; because of an exception of another type";
    }
}

wait_family family_of(const blocking_call& call) noexcept {
    auto has = [&](std::string_view word) { return call.function.find(word) != std::string_view::npos; };
    if (has("lockf") || has("flock")) return wait_family::file_lock;
    if (has("sync")) return wait_family::storage;
    if (has("poll") || has("select")) return wait_family::multiplexer;
    if (has("sleep")) return wait_family::sleep;
    for (std::string_view lock : {"mutex", "mtx_", "rwlock", "cond", "cnd_", "sem_", "semop", "semtimedop", "futex"})
        if (has(lock)) return wait_family::lock;
    if (has("wait") || has("system") || has("pclose")) return wait_family::process;
    return call.fd >= 0 ? wait_family::descriptor : wait_family::other;
}

/// "running on worker 2", "ready", "waits on: sleep".
std::string state_text(const task_snapshot& task) {
    std::string_view state = task.waiting_on;
    if (task.worker >= 0) return "running on worker " + std::to_string(task.worker);
    for (std::string_view known : {"suspended", "running or ready", "ready", "not started"})
        if (state == known) return std::string{state};
    return "waits on: " + std::string{state};
}

void add_tasks(report& r, std::span<const task_snapshot> tasks, std::size_t total) {
    for (const auto& task : tasks.first(std::min(tasks.size(), tasks_shown))) {
        auto stack = async_stack(task, "");
        stack.title = task_text(task) + ", " + state_text(task) + ", spawned at " + site_text(task.spawned);
        r.where.push_back(std::move(stack));
    }
    if (total > r.where.size())
        r.where.push_back({report_stack::shape::list, "and " + std::to_string(total - r.where.size()) + " more", {}});
    r.spawned = tasks.empty() ? "an unknown place" : site_text(tasks.front().spawned) + (total > 1 ? ", and others" : "");
    if (tasks.size() == 1) r.task_id = tasks.front().id, r.task_name = tasks.front().name.data();
}

/// "task 4", "tasks 4 and 7", "it itself".
std::string holders_text(const stuck_task& stuck) {
    std::size_t shown = std::min(stuck.holder_count, stuck.holders.size());
    if (shown == 1 && stuck.holder_count == 1 && stuck.holders[0] == stuck.task.id) return "it itself";
    std::string text = stuck.holder_count == 1 ? "task " : "tasks ";
    for (std::size_t i = 0; i < shown; ++i) {
        if (i != 0) text += i + 1 == stuck.holder_count ? " and " : ", ";
        text += std::to_string(stuck.holders[i]);
    }
    if (stuck.holder_count > shown) text += " and " + std::to_string(stuck.holder_count - shown) + " more";
    return text;
}

}  // namespace

std::string address_text(const void* address) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%p", address);
    return text.data();
}

// As far as the task's own code goes: below it is the executor.
report_stack callers_text(std::string title, const call_place& callers) {
    report_stack result{report_stack::shape::native, std::move(title), {}};
    for (std::uint32_t i = 0; i < callers.depth; ++i) {
        auto frame = symbolise(callers.callers[i]);
        if (frame.function.starts_with("belay::detail::worker::")) break;
        result.frames.push_back(std::move(frame));
    }
    return result;
}

std::string error_text(const std::exception_ptr& error) {
    if (!error) return "no exception";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        auto text = demangled(typeid(known).name()) + ": " + known.what();
        add_nested(text, known, 0);
        return text;
    } catch (...) {
        const auto* type = abi::__cxa_current_exception_type();
        return type == nullptr ? "a foreign exception" : "an exception of type " + demangled(type->name());
    }
}

report describe_blocking_call(const task_snapshot& task, const blocking_call& call, std::string_view descriptor,
                              std::chrono::nanoseconds threshold) {
    report r;
    r.kind = guardrail::blocking_call;
    r.task_id = task.id;
    r.task_name = task.name.data();
    std::string function{call.function};
    r.what = task_text(task) + " called " + function + "()";
    if (call.slept)
        r.what += ", which put the worker to sleep: " + duration_text(call.elapsed);
    else
        r.what += ", which may put the worker to sleep";
    r.what += threshold.count() == 0 ? " (every call is reported)" : " (limit " + duration_text(threshold) + ")";
    r.facts.push_back({"call", function + "(" + (descriptor.empty() ? "" : "fd=" + std::string{descriptor}) + ")"});
    if (call.lost.ns > 0)
        r.facts.push_back({"host", "for " + duration_text(std::min(std::chrono::nanoseconds{call.lost.ns}, call.elapsed)) +
                                       " of it the worker, or who held the lock, was ready but had no CPU"});
    r.where.push_back(callers_text("called by", call.callers));
    r.where.push_back(async_stack(task, "running here, or in what it called since"));
    r.spawned = site_text(task.spawned);
    r.why = "while a worker sleeps it runs no other task: ready tasks, timers and I/O wait until a neighbour takes them over.";
    r.fix = advice_for(family_of(call));
    r.silence =
        "belay::guardrails::allow why{\"...\"}; around the call, or BELAY_GUARDRAILS=block=log, block=off, block=panic:10ms";
    return r;
}

report describe_ignored_stop(const ignored_stop& stop) {
    report r;
    r.kind = guardrail::stop_ignored;
    r.runtime = stop.runtime;
    r.what = counted(stop.total, "task", "tasks") + " of scope \"" + std::string{stop.scope} + "\" did not end within " +
             duration_text(stop.elapsed) + " of its stop (" + std::string{to_string(stop.why)} + ")";
    if (stop.awaited.line() != 0)
        r.facts.push_back({"scope", "\"" + std::string{stop.scope} + "\", awaited at " + site_text(stop.awaited)});
    add_tasks(r, stop.tasks, stop.total);
    r.why =
        "a stopped scope ends with its last task, and whoever awaits it waits so long. A task is asked at every suspension, but it\n"
        "has to suspend on something that can be stopped.";
    r.fix =
        "look at the innermost frames. A computation: add co_await belay::checkpoint(). A function on a pool: let it take a\n"
        "std::stop_token. An awaitable of another library: give it what stops it, from a belay::this_task::stop_token() callback.\n"
        "Cleanup that takes its time: belay::finally or belay::shield, with a grace.";
    r.silence = "BELAY_GUARDRAILS=stop=log:60s, stop=log or stop=off";
    return r;
}

report describe_overrun_cleanup(const task_snapshot& task, std::chrono::nanoseconds grace, std::chrono::nanoseconds had) {
    report r;
    r.kind = guardrail::cleanup_overrun;
    r.task_id = task.id;
    r.task_name = task.name.data();
    r.what = "a cleanup of " + task_text(task);
    if (had >= grace)
        r.what += " did not end within its grace of " + duration_text(grace) + " and was stopped";
    else if (had.count() > 0)
        r.what += " did not end within " + duration_text(had) + ", when the grace of a cleanup around it was over";
    else
        r.what += " began when the grace of a cleanup around it was already over";
    if (had < grace) r.what += ", and was stopped; its own grace is " + duration_text(grace);
    r.where.push_back(async_stack(task, "awaits the cleanup"));
    r.spawned = site_text(task.spawned);
    r.why = "what the cleanup was to do may not be done: it ends at its next suspension, like every task that is stopped.";
    r.fix =
        "give it the time that it needs, finally(work, cleanup, grace) or shield(work, grace), within what its callers and the\n"
        "shutdown_grace of the runtime allow; or let it do less: close instead of waiting for the peer's answer.";
    r.silence = "BELAY_GUARDRAILS=cleanup=off";
    return r;
}

report describe_deadlock(const deadlock& found) {
    report r;
    r.kind = guardrail::deadlock;
    r.runtime = found.runtime;
    r.what = counted(found.total, "task waits", "tasks wait") +
             " for what nobody else can do: " + (found.total == 1 ? "it can" : "they can") + " never go on";
    for (const auto& stuck : found.tasks) {
        std::string text = std::string{stuck.task.waiting_on} + ", which only " + holders_text(stuck) + " could end";
        r.facts.push_back({task_text(stuck.task), std::move(text)});
        auto stack = async_stack(stuck.task, "");
        stack.title = task_text(stuck.task) + ", spawned at " + site_text(stuck.task.spawned);
        r.where.push_back(std::move(stack));
    }
    if (found.total > found.tasks.size())
        r.where.push_back({report_stack::shape::list, "and " + std::to_string(found.total - found.tasks.size()) + " more", {}});
    if (found.behind != 0)
        r.facts.push_back({"behind them", counted(found.behind, "task waits for their end", "tasks wait for their end")});
    const task_snapshot& first = found.tasks.front().task;
    r.spawned = site_text(first.spawned) + (found.total > 1 ? ", and others" : "");
    if (found.total == 1) r.task_id = first.id, r.task_name = first.name.data();
    r.why =
        "what could end their waits is in their own frames: senders and receivers of channels, guards of mutexes, permits, their\n"
        "ends. No timer, I/O or object on the heap can; a stop alone would end them.";
    r.fix =
        "a task that waits for a channel to close must not keep a sender of it: give the last one away, or destroy it. Locks that\n"
        "are held together: take them in the same order everywhere. A task cannot join, lock or send to itself. If a\n"
        "thread, a callback or another task does use an object in one of these frames, by a reference: give it a handle of its own.";
    r.silence = "BELAY_GUARDRAILS=deadlock=log:60s, deadlock=log or deadlock=off";
    return r;
}

report describe_saturated_pool(const saturated_pool& pool) {
    report r;
    r.kind = guardrail::pool_saturated;
    std::string name{pool.pool};
    r.what = "a function has waited " + duration_text(pool.waited) + " for a thread of the blocking pool \"" + name + "\"";
    r.facts.push_back({"threads", counted(pool.threads, "thread, which runs a function", "threads, all of which run functions")});
    r.facts.push_back({"queue", counted(pool.queued, "function waits", "functions wait")});
    if (pool.task.id != 0) {
        r.task_id = pool.task.id;
        r.task_name = pool.task.name.data();
        r.where.push_back(async_stack(pool.task, "waits for a thread"));
        r.spawned = site_text(pool.task.spawned);
    } else {
        r.where.push_back({report_stack::shape::list, "the task that waits is not known", {}});
        r.spawned = "an unknown place";
    }
    r.why =
        "the threads run functions that take long or do not end, and whatever else needs one waits behind them: requests that only\n"
        "read a small file wait for those that wait for a slow disk or a remote service.";
    r.fix =
        "give what can take long a pool of its own (belay::blocking_pool), so that it holds up nothing else; bound its wait\n"
        "(max_wait) or refuse it (when_full::reject). More threads: runtime_options::blocking_threads, or max_threads of the pool.\n"
        "CPU work belongs on a belay::cpu_pool.";
    r.silence = "BELAY_GUARDRAILS=pool=log:10s or pool=off";
    return r;
}

report describe_fan_out(std::string_view scope, std::size_t tasks, std::source_location spawned) {
    report r;
    r.kind = guardrail::fan_out;
    r.what =
        "scope \"" + std::string{scope} + "\" holds " + std::to_string(tasks) + " tasks, and nobody has chosen a limit for it";
    r.where.push_back({report_stack::shape::list,
                       "one of the latest was spawned at",
                       {{function_text(spawned.function_name()), place_text(spawned), "", false}}});
    r.spawned = site_text(spawned);
    r.why =
        "one task for each input is as many tasks as there are inputs: memory, sockets and whatever the tasks call have to bear\n"
        "all of them at once.";
    r.fix =
        "bound it: co_await belay::for_each(inputs, belay::at_most(n), f), or map(); or .max_tasks = n with\n"
        "co_await scope.spawn_when_free(f), which waits for a free place. A number that is meant: .max_tasks = 100'000.";
    r.silence = "set scope_options::max_tasks, or BELAY_GUARDRAILS=fanout=off";
    return r;
}

report describe_leak(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks, std::size_t total) {
    report r;
    r.kind = guardrail::task_leak;
    r.runtime = runtime;
    r.what =
        counted(total, "task", "tasks") + " of runtime \"" + r.runtime + "\" did not end in time (" + std::string{where} + ")";
    add_tasks(r, tasks, total);
    r.why =
        "a task that outlives its scope keeps its frames, buffers and references: whatever they point to must not be\n"
        "destroyed, so it is leaked.";
    r.fix =
        "a task that waits has ignored the stop or shields itself from it: look at the innermost frame. One that is running\n"
        "never suspends: add co_await belay::checkpoint(), or give it a stop token. If it only needs longer, raise\n"
        "runtime_options::shutdown_grace.";
    r.silence = "BELAY_GUARDRAILS=leak=log or leak=off";
    return r;
}

report describe_lost_error(std::string_view scope, std::source_location spawned, const std::exception_ptr& error) {
    report r;
    r.kind = guardrail::lost_error;
    r.what = "nobody will see this error of a task";
    if (!scope.empty()) r.what += " in scope \"" + std::string{scope} + "\"";
    r.what += ": " + error_text(error);
    r.where.push_back({report_stack::shape::list,
                       "the task was spawned at",
                       {{function_text(spawned.function_name()), place_text(spawned), "", false}}});
    r.spawned = site_text(spawned);
    r.why = "the scope isolates its tasks or has failed with another error already, and nothing joined this task.";
    r.fix =
        "handle the error inside the task; or join it, co_await handle.join(); or let it fail the scope:\n"
        ".on_error = belay::on_error::stop_siblings or collect.";
    r.silence = "catch what is expected inside the task, or BELAY_GUARDRAILS=error=off";
    return r;
}

report describe_failed_hook(std::string_view hook, unsigned worker, const std::exception_ptr& error) {
    report r;
    r.kind = guardrail::lost_error;
    std::string name = "runtime_options::" + std::string{hook};
    r.what = "nobody will see this error of the hook " + name + ": " + error_text(error);
    r.where.push_back({report_stack::shape::list, "called on the thread of worker " + std::to_string(worker), {}});
    r.spawned = "nowhere: the runtime itself calls its hooks";
    r.why =
        "the hook was called on a thread of the runtime's own, when the runtime was there already: no function of the program waits\n"
        "for it.";
    if (hook == "on_worker_start") r.why += " A worker whose on_worker_start fails does not begin.";
    r.fix = "handle the error inside the hook.";
    r.silence = "catch what is expected inside the hook, or BELAY_GUARDRAILS=error=off";
    return r;
}

report describe_never_awaited(std::source_location made, std::span<const std::source_location> given) {
    report r;
    r.kind = guardrail::never_awaited;
    r.what = "a task was destroyed before it ever ran";
    r.where.push_back({report_stack::shape::list,
                       "the task is this coroutine",
                       {{function_text(made.function_name()), place_text(made), "", false}}});
    report_stack arguments{report_stack::shape::list, "which was given, and would have run", {}};
    for (const auto& one : given) arguments.frames.push_back({function_text(one.function_name()), place_text(one), "", false});
    if (!given.empty()) r.where.push_back(std::move(arguments));
    r.spawned = "nowhere: it was neither awaited nor spawned";
    r.why = "a belay task is lazy: calling the function runs none of it, so whatever it was to do has not happened.";
    r.fix = "co_await it, spawn it, scope.spawn(f, arguments...), or do not call the function.";
    r.silence = "BELAY_GUARDRAILS=await=log or await=off";
    return r;
}

report describe_borrowed_captures(std::source_location made, std::source_location spawned) {
    report r;
    r.kind = guardrail::borrowed_captures;
    r.what = "a task was spawned that refers to the captures of a lambda, which may be gone when it runs";
    r.where.push_back({report_stack::shape::list,
                       "the task is this call of a lambda",
                       {{function_text(made.function_name()), place_text(made), "", false}}});
    r.spawned = site_text(spawned);
    r.why =
        "captures live in the lambda object, not in the coroutine's frame: a temporary lambda is destroyed at the end of the\n"
        "statement that calls it, before the task has begun.";
    r.fix =
        "spawn the lambda, not its call: scope.spawn(lambda, arguments...) keeps a copy as long as the task; or hand over\n"
        "what it needs as parameters. If the lambda outlives the scope: scope.spawn(std::ref(lambda), arguments...).";
    r.silence = "BELAY_GUARDRAILS=capture=log or capture=off";
    return r;
}

}  // namespace belay::detail
