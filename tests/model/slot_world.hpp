// A task, an operation that it waits for, and a stop: what the tests of the slot are made of. Include once, after operation.hpp and
// stop_walk.hpp with the checker's atomics.
#pragma once

#include <memory>
#include <string>

namespace belay::detail {

// What the library defines, and this program, which is made without it, has to.
void stop_node::drop_tokens() noexcept {}
void stop_walk::add_tokens_of(stop_node&) noexcept {}
void stop_walk::stop_tokens() noexcept {}
void operation::waits_for(wait_sources&) {}
void schedule(record& rec) noexcept;

namespace {

struct task final : record {
    explicit task(stop_node& node) noexcept
        : record{*reinterpret_cast<runtime_core*>(this), node, std::source_location::current()} {}  // its runtime is never asked
    record* on_done(outcome) noexcept override { return nullptr; }
    int queued = 0;
    bool stopper_inside = false;
};

/// Registers with whoever completes it, as all operations do: under a lock, or here by one word.
struct wait final : operation {
    enum state : int { fresh, registered, taken, stopped_early };
    std::model_atomic<int> where{fresh};
    bool resumed_inline = false;

    void suspend(task& rec) {
        if (!suspend_on(rec)) return;
        int expected = fresh;
        if (!where.compare_exchange_strong(expected, registered)) complete(outcome::stopped);  // a stop came before
    }
    void grant() {
        int expected = registered;
        if (where.compare_exchange_strong(expected, taken)) complete(outcome::value);
    }
    void request_stop(stop_walk&) noexcept override {
        auto& rec = static_cast<task&>(*owner());
        rec.stopper_inside = true;
        int expected = fresh;
        if (!where.compare_exchange_strong(expected, stopped_early)) {
            expected = registered;
            if (where.compare_exchange_strong(expected, taken)) complete(outcome::stopped);
        }
        rec.stopper_inside = false;
    }
    [[nodiscard]] const char* what() const noexcept override { return "wait"; }
};

struct world {
    stop_node node;
    task rec{node};
    wait op;
    void stop() {
        stop_walk walk;
        if (!node.mark(stop_reason::requested)) return;
        walk.add(rec);
        walk.run();
    }
};

}  // namespace

void schedule(record& rec) noexcept {
    auto& one = static_cast<task&>(rec);
    model::require(!one.stopper_inside, "a task is queued while a stopper is inside its operation");
    model::require(++one.queued == 1, "a task is queued twice");
}
void schedule_fair(record& rec) noexcept { schedule(rec); }

}  // namespace belay::detail
