// Guardrails: what belay catches at run time, and what it then does about it. The defaults panic in a debug build of the
// library and log in a release build; a runtime's options and the environment change them:
//
//     belay::runtime runtime{{.guardrails = "stall=panic:50ms,leak=log"}};
//     $ BELAY_GUARDRAILS=stall=log:200ms,lock=off ./program
//
// All guardrails share one pipeline: count, drop repetitions, limit the rate, write to the sink, and panic if asked to.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace belay {

struct report;

enum class guardrail : std::uint8_t {
    blocked_worker,           ///< "stall": one poll holds a worker for longer than the threshold
    guard_across_suspension,  ///< "lock": a task suspends while it holds a synchronous lock
    blocking_call,            ///< "block": a task sleeps in a call of the C library; needs belay::guard, but for `syscalls`
    stop_ignored,             ///< "stop": tasks of a stopped scope that do not end
    cleanup_overrun,          ///< "cleanup": a finally() or shield() that does not end within its grace
    task_leak,                ///< "leak": tasks that are still there when they have to be gone
    lost_error,               ///< "error": an exception that nobody will see
    never_awaited,            ///< "await": a task object destroyed before it ran
    deadlock,                 ///< "deadlock": tasks that wait for each other and for nobody else
    fan_out,                  ///< "fanout": a scope without a limit has very many tasks
    pool_saturated,           ///< "pool": functions wait for long for a thread of a blocking pool
    borrowed_captures,        ///< "capture": a spawned task refers to the captures of a lambda that it does not keep
    lock_order,               ///< "order": tasks take the same locks in different orders
    starvation                ///< "starve": ready tasks, or timers, wait for long although their workers run others
};
inline constexpr std::size_t guardrail_count = 14;

/// The name in reports and metrics: "blocked_worker", ...
std::string_view to_string(guardrail kind) noexcept;

namespace guardrails {

/// The word for it in a policy: "stall", "lock", "block", "stop", "cleanup", "leak", "error", "await", "deadlock", "fanout", "pool", "capture",
/// "order", "starve".
std::string_view policy_word(guardrail kind) noexcept;

/// What happens besides counting. `off` is not even looked for where there is a threshold, see parse_policy().
enum class action : std::uint8_t {
    off,  ///< nothing
    log,  ///< the report goes to the sink
    panic,  ///< the report goes to the sink, then abort(): a core dump with every thread as it was
    callback  ///< the report goes to what set_callback() was given, or to the sink if that is nothing
};
std::string_view to_string(action what) noexcept;

struct rule {
    action then = action::log;
    std::chrono::nanoseconds threshold{0};  ///< of those that take one, see parse_policy(); zero for the others
    bool syscalls = false;  ///< blocking_call: the system calls of tasks are seen as such; the threshold is zero then
    bool operator==(const rule&) const = default;
};

struct policy {
    std::array<rule, guardrail_count> rules{};
    rule& operator[](guardrail kind) noexcept { return rules[static_cast<std::size_t>(kind)]; }
    const rule& operator[](guardrail kind) const noexcept { return rules[static_cast<std::size_t>(kind)]; }
    bool operator==(const policy&) const = default;
};

/// Debug build of the library: stalls of 50 ms, all panic; release: 100 ms, all log. What may be meant, or be right all the same, logs
/// in both: lost errors, because an `isolate` scope expects them; borrowed captures, since the lambda may outlive the task;
/// deadlocks, since a thread may use an object in a task's frame; cleanups that are cut short; and what load alone can bring about,
/// fan-out, saturated pools and starvation. The thresholds are ten times as long under a sanitizer or Valgrind. While a debugger is attached no
/// stall is reported, whatever the policy says.
policy default_policy() noexcept;

/// `base` changed by a text such as "all=panic,stall=log:50ms,leak=off": guardrail=action, separated by commas, one after the other; `all`
/// stands for every guardrail; `stall`, `block`, `stop`, `deadlock`, `pool` and `starve` take a threshold (ns, us, ms, s; `block` also
/// `any`: every call that could have slept, whether it did or not; and `syscalls`: as `any`, and the same of every system call
/// that a task makes, without belay::guard and past it, for tests). Throws std::invalid_argument that names the wrong word and
/// the words that are accepted.
policy parse_policy(std::string_view text, const policy& base);

/// default_policy(), changed by `text`, changed by BELAY_GUARDRAILS in the environment. Throws as parse_policy().
policy effective_policy(std::string_view text);

/// True if belay::guard stands in front of the C library's locks and blocking calls in this process: it is linked to the program or
/// preloaded, and of the same version.
bool guard_attached() noexcept;

/// What of the guardrails works in this process, in one line: kernels, containers and debuggers take away some of it. Looks at
/// /proc and tries the calls; about 100 us. The first runtime of a process writes it to standard error if BELAY_GUARDRAILS is set.
std::string self_test();

/// Reports that match are counted, but not written and no reason to panic, from now on and in the whole process. `pattern` is a
/// guardrail's word or `all`, a colon, and a text that occurs in a function, a place or a module of the report; `*` stands for
/// any characters: "block:spdlog::sinks::*file_sink", "capture:src/legacy/". Throws std::invalid_argument that names what is wrong.
/// Any thread.
void suppress(std::string_view pattern);
/// One pattern a line; empty lines, and those that begin with #, say nothing. BELAY_SUPPRESSIONS in the environment names such a file,
/// which is read when the first runtime is made. Throws std::system_error if it cannot be read, std::invalid_argument with the line.
void suppress_file(const std::string& path);

/// Changes the policy for what happens outside any runtime, such as a task that is destroyed on a thread that is no worker.
/// Starts as effective_policy(""). Throws as parse_policy().
void set_process_policy(std::string_view text);

/// Takes reports. write() is called from a thread of reports while workers may be stuck, and before a panic from the thread that has found
/// something, a worker or the watchdog: it must not wait for a worker, so it must not use the application's logger if a stuck task may
/// hold that logger's lock. It may be called concurrently.
class report_sink {
public:
    report_sink() = default;
    report_sink(const report_sink&) = delete;
    report_sink& operator=(const report_sink&) = delete;
    virtual ~report_sink() = default;
    virtual void write(const report& what) noexcept = 0;
};

/// Where reports go from now on, in the whole process; null is the default: standard error, one write(2) a report. The new
/// sink has seen nothing, so repetitions and the rate limit start afresh. Returns the previous one.
std::shared_ptr<report_sink> set_sink(std::shared_ptr<report_sink> sink);
/// The same for guardrails whose action is `callback`.
std::shared_ptr<report_sink> set_callback(std::shared_ptr<report_sink> callback);

/// Returns when all that was found so far has been written, or after ten seconds if a sink does not return. A task may go on before the
/// report of what it did is written; at the end of a runtime, and of the process by exit(), they all are. To be called before code that
/// tasks have run is unloaded. Any thread; returns at once in a sink.
void flush() noexcept;

/// How often each guardrail fired. Neither policy nor rate limit touches these.
struct counts {
    std::array<std::uint64_t, guardrail_count> reports{};
    std::uint64_t suppressed = 0;  ///< fired, but repeated or too many to be written
    std::uint64_t stalls_hog = 0;  ///< stalls by class: the task computed
    std::uint64_t stalls_blocked = 0;  ///< ... the task slept in a system call
    std::uint64_t stalls_starved = 0;  ///< ... the host gave the worker no CPU; never reported
    std::uint64_t operator[](guardrail kind) const noexcept { return reports[static_cast<std::size_t>(kind)]; }
};
/// Of the whole process, all runtimes and what happened outside them.
counts guardrail_counts() noexcept;

/// The time that a task spends while one of these exists on its worker is not reported as a stall:
///
///     belay::guardrails::allow why{"reads its configuration once"};
///
/// Not to be held across co_await: it belongs to the thread.
class [[nodiscard]] allow {
public:
    /// `why` is for the reader of the source; it must live as long as the object.
    explicit allow(const char* why) noexcept;
    allow(const allow&) = delete;
    allow& operator=(const allow&) = delete;
    ~allow();
    [[nodiscard]] const char* why() const noexcept { return why_; }

private:
    const char* why_;
    void* place_;  // of the thread that made it; null when no place was left, then it allows nothing
};

}  // namespace guardrails
}  // namespace belay
