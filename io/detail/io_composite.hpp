// One I/O operation after the other until all is done, inside one awaiter.
//
// write_all and read_exact are loops, but nearly always of one turn: a coroutine for that costs as much as the rest of the
// operation does in user space. So the awaiter stands in the chain of frames itself: it begins like a coroutine frame, and
// the runtime resumes it, not the task, when an operation has ended. What it relies on is the layout that GCC and Clang
// share (Itanium C++ ABI): a function to resume, a function to destroy, the promise.
#pragma once

#include <belay/io/detail/io_awaiter.hpp>

#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>

namespace belay::io::detail {

struct frame_head {
    void (*resume)(frame_head*) noexcept;
    void (*destroy)(frame_head*) noexcept;
    belay::detail::promise_base promise;
};
static_assert(offsetof(frame_head, promise) == 2 * sizeof(void*));

/// Derived has
///     void prepare(std::optional<Operation>&);            // makes the next operation
///     bool advance(const Operation&);                     // takes its result in; true when that was the last
///     await_ready() and await_resume()
/// A stop ends the composite at the operation in flight, or before the next one.
template <class Derived, class Operation>
class io_composite : public belay::detail::native_awaitable {
public:
    template <class P>
    bool await_suspend(std::coroutine_handle<P> task) noexcept {
        static_assert(task_promise<P>, "belay: I/O can be awaited only inside a belay::task");
        belay::detail::promise_base& parent = task.promise();
        head_.promise.parent = &parent;
        head_.promise.rec = parent.rec;
        head_.promise.owner = &no_owner_;
        parent.rec->leaf = &head_.promise;
        next();
        return true;
    }

private:
    friend Derived;
    explicit io_composite(std::source_location where) noexcept
        : head_{{&resumed, &destroyed, belay::detail::promise_base{where}}, this} {}
    io_composite(const io_composite&) = delete;
    io_composite& operator=(const io_composite&) = delete;
    ~io_composite() = default;

    struct own_head : frame_head {
        io_composite* self;
    };

    Derived& derived() noexcept { return static_cast<Derived&>(*this); }

    void next() noexcept {
        derived().prepare(operation_);
        operation_->begin(*head_.promise.rec);  // the last use of this: another worker may be in resumed() by now
    }

    static void resumed(frame_head* head) noexcept {
        io_composite& self = *static_cast<own_head*>(head)->self;
        if (!self.derived().advance(*self.operation_)) return self.next();
        belay::detail::promise_base& parent = *head->promise.parent;
        parent.rec->leaf = &parent;
        parent.handle().resume();
    }
    /// Unwinding: the task's own frame, in which this awaiter lives, comes next.
    static void destroyed(frame_head*) noexcept {}

    own_head head_;
    std::coroutine_handle<> no_owner_;  // for unwinding to clear
    std::optional<Operation> operation_;
};

}  // namespace belay::io::detail
