// A report sink for tests: keeps what it is given, and says how many there are.
#pragma once

#include <belay/observability/guardrails.hpp>
#include <belay/observability/report.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace belay::test {

class capture_sink final : public guardrails::report_sink {
public:
    void write(const report& what) noexcept override {
        std::lock_guard lock{mutex_};
        reports_.push_back(what);
        written_.fetch_add(1, std::memory_order_release);
    }
    [[nodiscard]] std::size_t written() const noexcept {
        guardrails::flush();
        return written_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::vector<report> of(guardrail kind) const {
        guardrails::flush();
        std::lock_guard lock{mutex_};
        std::vector<report> result;
        for (const auto& r : reports_)
            if (r.kind == kind) result.push_back(r);
        return result;
    }

private:
    mutable std::mutex mutex_;
    std::vector<report> reports_;
    std::atomic<std::size_t> written_{0};
};

/// All reports of the process go to `sink` while this exists.
class captured_reports {
public:
    captured_reports() : sink{std::make_shared<capture_sink>()}, before_{guardrails::set_sink(sink)} {}
    captured_reports(const captured_reports&) = delete;
    captured_reports& operator=(const captured_reports&) = delete;
    ~captured_reports() { guardrails::set_sink(std::move(before_)); }

    const std::shared_ptr<capture_sink> sink;

private:
    std::shared_ptr<guardrails::report_sink> before_;
};

/// Every report has all five parts, whatever it is about.
inline std::string missing_part(const report& r) {
    if (r.what.empty()) return "what";
    if (r.where.empty() || r.spawned.empty()) return "where";
    if (r.why.empty()) return "why";
    if (r.fix.empty()) return "fix";
    if (r.silence.empty()) return "silence";
    return {};
}

}  // namespace belay::test
