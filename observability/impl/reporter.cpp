#include <belay/observability/impl/reporter.hpp>

#include <belay/observability/impl/at_fork.hpp>
#include <belay/observability/impl/report_thread.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace belay::detail {
namespace {

// One write: lines of other threads do not get in between. Only a pipe that is full or a signal makes it more.
void write_all(std::string_view text) noexcept {
    while (!text.empty()) {
        auto n = ::write(STDERR_FILENO, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

// Better a short line than none. Needs no memory but the stack.
void write_briefly(guardrail kind, guardrails::action then, std::source_location where) noexcept {
    std::array<char, 512> line{};
    auto name = to_string(kind);
    int n = std::snprintf(line.data(), line.size(), "belay: %s [%.*s] at %s:%u (there is no memory to say more)\n",
                          then == guardrails::action::panic ? "PANIC" : "WARN", static_cast<int>(name.size()), name.data(),
                          where.file_name(), static_cast<unsigned>(where.line()));
    auto length = std::min(static_cast<std::size_t>(std::max(n, 0)), line.size() - 1);
    auto begin = std::find(line.begin(), line.end(), '[');
    std::replace(begin, std::find(begin, line.end(), ']'), '_', '-');  // as in a full report
    write_all({line.data(), length});
}

class standard_error_sink final : public guardrails::report_sink {
public:
    void write(const report& what) noexcept override {
        try {
            write_all(what.to_text());
        } catch (...) {
            write_briefly(what.kind, what.action, {});
        }
    }
};

/// What was found before may be the cause.
[[noreturn]] void end_process() noexcept {
    process_report_thread().wait();
    std::abort();
}

void bump(std::atomic<std::uint64_t>& counter) noexcept { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

guardrails::counts guardrail_counters::read() const noexcept {
    auto get = [](const std::atomic<std::uint64_t>& c) { return c.load(std::memory_order_relaxed); };
    guardrails::counts result;
    for (std::size_t i = 0; i < guardrail_count; ++i) result.reports[i] = get(reports[i]);
    result.suppressed = get(suppressed);
    result.stalls_hog = get(stalls[static_cast<std::size_t>(stall_class::hog)]);
    result.stalls_blocked = get(stalls[static_cast<std::size_t>(stall_class::blocked)]);
    result.stalls_starved = get(stalls[static_cast<std::size_t>(stall_class::starved)]);
    return result;
}

std::shared_ptr<guardrails::report_sink> make_standard_error_sink() { return std::make_shared<standard_error_sink>(); }

reporter::reporter() : sink_{make_standard_error_sink()} {}

report_throttle::decision reporter::admit(guardrail kind, std::uint64_t key, guardrails::action then,
                                          guardrail_counters& mine) noexcept {
    auto index = static_cast<std::size_t>(kind);
    bump(all_.reports[index]);
    bump(mine.reports[index]);
    if (then == guardrails::action::off) return {};
    std::unique_lock lock{mutex_};
    auto decision = throttle_.admit(kind, key, report_throttle::clock::now(), then == guardrails::action::panic);
    lock.unlock();
    if (!decision.write) {
        bump(all_.suppressed);
        bump(mine.suppressed);
    }
    return decision;
}

void reporter::suppress(guardrail kind, std::uint64_t key, const report_throttle::decision& admitted,
                        guardrail_counters& mine) noexcept {
    {
        std::lock_guard lock{mutex_};
        throttle_.suppress(kind, key, admitted.suppressed);
    }
    bump(all_.suppressed);
    bump(mine.suppressed);
}

void reporter::count_stall(stall_class found, guardrail_counters& mine) noexcept {
    bump(all_.stalls[static_cast<std::size_t>(found)]);
    bump(mine.stalls[static_cast<std::size_t>(found)]);
}

std::shared_ptr<guardrails::report_sink> reporter::sink_for(guardrails::action then) noexcept {
    std::lock_guard lock{mutex_};
    return then == guardrails::action::callback && callback_ ? callback_ : sink_;
}

void reporter::publish(const report& what) noexcept {
    {
        report_thread::in_sink inside;
        sink_for(what.action)->write(what);
    }
    if (what.action == guardrails::action::panic) end_process();
}

std::shared_ptr<guardrails::report_sink> reporter::exchange_sink(std::shared_ptr<guardrails::report_sink> sink) {
    if (!sink) sink = make_standard_error_sink();
    std::lock_guard lock{mutex_};
    throttle_ = {};
    return std::exchange(sink_, std::move(sink));
}

void reporter::publish_briefly(guardrail kind, guardrails::action then, std::source_location where) noexcept {
    write_briefly(kind, then, where);
    if (then == guardrails::action::panic) end_process();
}

std::shared_ptr<guardrails::report_sink> reporter::exchange_callback(std::shared_ptr<guardrails::report_sink> callback) {
    std::lock_guard lock{mutex_};
    throttle_ = {};
    return std::exchange(callback_, std::move(callback));
}

reporter& process_reporter() noexcept {
    static auto* the_one = [] {
        hold_at_fork<[]() -> std::mutex& { return process_reporter().lock(); }>();
        return new reporter;
    }();
    return *the_one;
}

}  // namespace belay::detail

namespace belay::guardrails {

// What was found before goes where it would have gone then.
std::shared_ptr<report_sink> set_sink(std::shared_ptr<report_sink> sink) {
    flush();
    return detail::process_reporter().exchange_sink(std::move(sink));
}
std::shared_ptr<report_sink> set_callback(std::shared_ptr<report_sink> callback) {
    flush();
    return detail::process_reporter().exchange_callback(std::move(callback));
}
void flush() noexcept { detail::process_report_thread().wait(); }
counts guardrail_counts() noexcept { return detail::process_reporter().counts(); }

}  // namespace belay::guardrails
