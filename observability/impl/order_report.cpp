#include <belay/observability/impl/event_reports.hpp>
#include <belay/observability/impl/source_text.hpp>

#include <string>
#include <utility>

namespace belay::detail {
namespace {

std::string who(const order_step& step) {
    if (step.task == 0) return "a thread outside of tasks";
    std::string text = "task " + std::to_string(step.task);
    return step.name[0] == '\0' ? text : text + " \"" + step.name.data() + "\"";
}

void add_place(report& r, const std::string& title, const held_lock& lock) {
    if (lock.site.line() == 0) {
        r.where.push_back(callers_text(title, lock.callers));
        return;
    }
    r.where.push_back(
        {report_stack::shape::list,
         title,
         {{function_text(lock.site.function_name()), place_text(lock.site), "lock " + address_text(lock.lock), false}}});
}

}  // namespace

report describe_inversion(const order_inversion& found) {
    report r;
    r.kind = guardrail::lock_order;
    r.task_id = found.task.id;
    r.task_name = found.task.name.data();
    const order_step& first = found.steps.front();
    bool again = first.held.lock == first.taken.lock;
    if (again) {
        r.what = who(first) + " takes lock " + address_text(first.taken.lock) + " again, which it holds: it waits for itself";
    } else {
        r.what = who(first) + " takes lock " + address_text(first.taken.lock) + " while it holds " +
                 address_text(first.held.lock) + ", and elsewhere " + (found.steps.size() == 2 ? "the two are" : "they are") +
                 " taken the other way round";
    }
    for (const order_step& step : found.steps) {
        add_place(r, who(step) + " locked " + address_text(step.held.lock) + " at", step.held);
        add_place(r, (again ? "and takes it again at" : "and, holding it, took " + address_text(step.taken.lock) + " at"),
                  step.taken);
    }
    if (found.task.id != 0) r.where.push_back(async_stack(found.task, "here, or in what it called since"));
    r.spawned = found.task.id != 0 ? site_text(found.task.spawned) : "no task";
    r.why =
        again
            ? "a lock has one holder, and that waits until the holder, which is itself, gives it back."
            : "when these run at the same time each can have its first lock and wait for the next one's: then none of them goes on,\n"
              "nor does whoever wants one of these locks. Up to then it is a matter of timing.";
    r.fix =
        again
            ? "end the first guard's scope before, or give the function that is called a form that expects the lock to be held."
            : "take them in the same order everywhere (the outer object before the inner one, or by address); or both at once:\n"
              "std::scoped_lock(a, b) for synchronous locks; or copy what you need out of the first before you take the second;\n"
              "or protect both things with one lock.";
    r.silence =
        "BELAY_GUARDRAILS=order=off; where another lock, or the program's phases, exclude it: belay::guardrails::suppress(\"order:...\")";
    return r;
}

}  // namespace belay::detail
