#include <belay/runtime/detail/injected_fault.hpp>

#include <belay/runtime/detail/worker.hpp>

#include <cstddef>
#include <cstring>
#include <new>

namespace belay::detail {
namespace {

/// What stands in for the frame of a task<T> that has failed, whatever T is. Whoever awaits a task looks at nothing but the result in its
/// promise: a union that begins with the std::exception_ptr, and behind it, at a distance that depends on T, one byte that says
/// "error". So all bytes behind say so. The layout of frames is that which GCC and Clang share (Itanium C++ ABI), as in
/// io/detail/io_composite.hpp; that of result_slot is what the tests of fail_everywhere() rely on. Larger results are boxed.
struct failed_frame {
    void (*resume)(failed_frame*) = nullptr;
    void (*destroy)(failed_frame*) = [](failed_frame* self) { delete self; };
    promise_base promise{std::source_location::current()};
    alignas(16) std::exception_ptr error;
    static constexpr std::size_t largest_result = 64 * 1024;
    unsigned char states[largest_result];

    explicit failed_frame(std::exception_ptr e) : error{std::move(e)} {
        constexpr unsigned char says_error = 2;  // result_slot::state::error
        std::memset(states, says_error, sizeof states);
    }
};
static_assert(offsetof(failed_frame, error) == 2 * sizeof(void*) + sizeof(promise_base));
static_assert(offsetof(failed_frame, states) == offsetof(failed_frame, error) + sizeof(std::exception_ptr));

bool is_a_tasks(const promise_base& frame) noexcept {
    auto self = std::coroutine_handle<promise_base>::from_promise(const_cast<promise_base&>(frame));
    return frame.owner != nullptr && !is_generator(frame) && *frame.owner == self;
}

/// The function that waits: the innermost frame, or the one whose awaiter stands in for a frame of its own (io_composite.hpp).
promise_base* failing_frame(const record& rec) noexcept {
    promise_base* leaf = rec.leaf;
    if (leaf != nullptr && leaf->owner != nullptr && !is_generator(*leaf) && !*leaf->owner) leaf = leaf->parent;
    return leaf != nullptr && is_a_tasks(*leaf) ? leaf : nullptr;
}

/// Destroys a frame as an exception does that comes out of it: destructors see that one is on its way.
void destroy_by(promise_base& frame, const std::exception_ptr& error) noexcept {
    struct on_the_way {
        promise_base& frame;
        ~on_the_way() { frame.handle().destroy(); }
    };
    try {
        on_the_way here{frame};
        std::rethrow_exception(error);
    } catch (...) {
        // It goes on from the frame that stands in.
    }
}

}  // namespace

bool can_fail(const record& rec) noexcept { return failing_frame(rec) != nullptr; }

bool fail_leaf(record& rec, const std::exception_ptr& error) {
    auto* stand_in = new failed_frame{error};
    stand_in->promise.rec = &rec;  // it has run
    promise_base& failing = *failing_frame(rec);
    promise_base* parent = failing.parent;
    std::coroutine_handle<>* owner = failing.owner;
    worker& here = *this_worker();
    here.set_current(&rec);
    rec.clear_stopped();
    rec.leaf = parent;
    destroy_by(failing, error);
    *owner = std::coroutine_handle<>::from_address(stand_in);
    if (parent != nullptr) {
        here.set_current(nullptr);
        return true;
    }
    record* next = here.end(rec, outcome::error);
    here.set_current(nullptr);
    here.look_at_guards(nullptr);  // no poll follows
    if (next != nullptr) schedule_fair(*next);
    return false;
}

}  // namespace belay::detail
