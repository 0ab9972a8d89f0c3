#include <belay/observability/impl/stall_report.hpp>

#include <belay/observability/impl/source_text.hpp>
#include <belay/observability/impl/symbols.hpp>
#include <belay/observability/impl/syscall_text.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace belay::detail {
namespace {

constexpr std::chrono::milliseconds signal_patience{20};

std::string milliseconds(std::chrono::nanoseconds length) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", static_cast<double>(length.count()) / 1e6);
    return text.data();
}

std::string time_text(const stall_verdict& verdict) {
    auto parts = split(verdict.window);
    return "of the last " + milliseconds(verdict.window.wall) + " ms: " + milliseconds(parts.cpu) + " computing + " +
           milliseconds(parts.waiting) + " waiting for a CPU + " + milliseconds(parts.asleep) + " asleep";
}

report_stack native_text(const worker_stall& stall, const stall_evidence& evidence, bool by_signal) {
    report_stack result{report_stack::shape::native, "", {}};
    result.title = "native stack of worker " + std::to_string(stall.worker) + " (tid " + std::to_string(stall.tid) + ")";
    if (evidence.stack.problem != nullptr) {
        result.title += ": not available, " + std::string{evidence.stack.problem};
        return result;
    }
    result.title += by_signal ? ", interrupted by a signal" : ", read without a signal";
    for (std::size_t i = 0; i < evidence.stack.depth; ++i) {
        const auto& entry = evidence.stack.frames[i];
        auto frame = symbolise(entry.address);
        frame.guessed = entry.guessed;
        bool executor = frame.function.starts_with("belay::detail::worker::");
        result.frames.push_back(std::move(frame));
        if (executor && !entry.guessed) break;  // below it is the executor alone
    }
    return result;
}

/// "3 ready tasks: task 4 "writer"; task 7, spawned at main.cpp:12 in main(); and 1 more".
std::string behind_text(const worker_stall& stall) {
    std::string text = counted(stall.queued_behind, "ready task", "ready tasks");
    auto named = std::min({stall.behind_count, stall.behind.size(), stall.queued_behind});
    for (std::size_t i = 0; i < named; ++i) {
        const task_snapshot& task = stall.behind[i];
        text += (i == 0 ? ": " : "; ") + task_text(task);
        if (task.name[0] == '\0') text += ", spawned at " + site_text(task.spawned);
    }
    if (named != 0 && named < stall.queued_behind) text += "; and " + std::to_string(stall.queued_behind - named) + " more";
    return text;
}

const char* headline(stall_class found) noexcept {
    return found == stall_class::hog ? "COMPUTING WITHOUT A PAUSE" : "ASLEEP IN A SYSTEM CALL";
}

}  // namespace

stall_evidence gather(const worker_stall& stall, const stall_verdict& verdict) {
    stall_evidence result;
    if (stall.ended) {
        result.stack.problem = "the poll ended before it could be read";
        return result;
    }
    // Asked again, because the verdict is about the past: no signal may reach a thread that has gone to sleep since.
    result.call = read_syscall(stall.tid);
    if (!result.call.asleep) {
        if (verdict.found == stall_class::hog)
            result.stack = interrupt_and_walk(stall.tid, signal_patience);
        else
            result.stack.problem = "the thread woke up before it could be read";
        return result;
    }
    proc_text wchan;
    read_task_file(stall.tid, "wchan", wchan);
    if (wchan.view() != "0") result.kernel_wait = wchan.view();
    result.stack = walk_asleep(result.call.sp, result.call.pc);
    if (read_syscall(stall.tid) != result.call) {
        result.stack = {};
        result.stack.problem = "the thread moved while it was read";
    }
    return result;
}

report describe_stall(const worker_stall& stall, const stall_verdict& verdict, const stall_evidence& evidence,
                      std::chrono::nanoseconds threshold) {
    report r;
    r.kind = guardrail::blocked_worker;
    r.runtime = stall.runtime;
    r.task_id = stall.task.id;
    r.task_name = stall.task.name.data();
    r.what = task_text(stall.task) + " held worker " + std::to_string(stall.worker) + " of runtime \"" + r.runtime + "\" for " +
             duration_text(stall.elapsed) + " (limit " + duration_text(threshold) + "): " + headline(verdict.found);

    auto call = describe_syscall(evidence.call);
    if (evidence.call.asleep) {
        r.facts.push_back({"syscall", call.text});
        if (!evidence.kernel_wait.empty()) r.facts.push_back({"kernel", "waits in " + evidence.kernel_wait});
    }
    r.facts.push_back({"time", time_text(verdict)});
    r.facts.push_back({"behind it", behind_text(stall)});
    r.where.push_back(native_text(stall, evidence, !evidence.call.asleep));
    r.where.push_back(async_stack(stall.task, "running here, or in what it called since"));
    r.spawned = site_text(stall.task.spawned);

    r.why =
        "a task that neither suspends nor ends keeps its worker from everything else: ready tasks, timers and I/O wait\n"
        "until a neighbour has time to take them over.";
    r.fix = verdict.found == stall_class::hog
                ? "let others run between pieces of the work, co_await belay::yield(); or move it off the workers:\n"
                  "co_await belay::spawn_blocking([&] { ... });"
                : advice_for(evidence.call.asleep ? call.family : wait_family::other);
    r.silence =
        "belay::guardrails::allow why{\"...\"}; around the call, or BELAY_GUARDRAILS=stall=log, stall=off, stall=panic:1s";
    return r;
}

}  // namespace belay::detail
