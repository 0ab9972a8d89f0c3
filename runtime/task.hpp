// task<T>: the coroutine type of belay. Lazy, move-only, awaited once.
//
//     belay::task<int> answer() { co_return 42; }
//     belay::task<> use() { int n = co_await answer(); }
//
// A task ends in exactly one of value, error (an exception) or stopped. Awaiting a task transfers to it directly and
// back again (symmetric transfer): no queue, no stack growth, no allocation but the frame itself.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// CMake refuses it earlier; this is for those who come by pkg-config or with a build system of their own.
#error "belay: GCC before 13 miscompiles coroutines silently (GCC PR 106188, PR 99576): use clang-19, or GCC 14 or later"
#endif

#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/detail/guarded.hpp>
#include <belay/runtime/detail/lambda_type.hpp>
#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/operation.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {

template <class T>
class task;

namespace detail {

struct task_access;
template <class A>
struct foreign_awaiter;  // foreign.hpp

template <class>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

/// The root frame of `rec` has ended: tells the record and returns what this worker runs next.
std::coroutine_handle<> finish_root(record& rec, outcome how) noexcept;
/// Guardrails: a task object is destroyed before it ever ran. Those that it was given as arguments go with it, and into one report.
void destroy_never_awaited(std::coroutine_handle<> frame, std::source_location made) noexcept;
/// A named, immediate, explained failure: prints and aborts.
[[noreturn]] void misuse(const char* what) noexcept;

/// `owner` of a frame that has not started and refers to the captures of a lambda.
inline std::coroutine_handle<> borrows_captures;

/// Ends a frame: on to the awaiting frame, or to the record when this was its root.
struct final_awaiter {
    static bool await_ready() noexcept { return false; }
    template <class P>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) noexcept {
        promise_base& me = ended.promise();
        if (me.parent != nullptr) {
            me.rec->leaf = me.parent;
            return me.parent->handle();
        }
        return finish_root(*me.rec, ended.promise().result.has_error() ? outcome::error : outcome::value);
    }
    static void await_resume() noexcept {}
};

/// What the promises of all coroutine types of belay share: where their frames come from, and what they may await.
class coroutine_promise : public promise_base {
public:
    // Clang gives the place of the coroutine's opening brace, GCC that of its closing one; the first await replaces it.
    explicit coroutine_promise(std::source_location made) noexcept : promise_base{made} {}

    static std::suspend_always initial_suspend() noexcept { return {}; }

    static void* operator new(std::size_t bytes) { return pool_allocate(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept { pool_free(frame, bytes); }

    template <class A>
    decltype(auto) await_transform(A&& awaitable, std::source_location here = std::source_location::current()) {
        if constexpr (guarded) site = here;
        if constexpr (is_task<std::remove_cvref_t<A>>) {
            static_assert(!std::is_lvalue_reference_v<A>,
                          "belay: a task is awaited once, as an rvalue: write co_await std::move(your_task), "
                          "or co_await make_task(...) directly");
        }
        if constexpr (native<A>) {
            return static_cast<A&&>(awaitable);
        } else {
            return foreign_awaiter<A>{static_cast<A&&>(awaitable)};
        }
    }
};

template <class T>
class promise_common : public coroutine_promise {
public:
    using coroutine_promise::coroutine_promise;

    static final_awaiter final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { result.set_error(std::current_exception()); }

    result_slot<T> result;
};

template <class T>
class promise : public promise_common<T> {
public:
    // Not an inherited constructor: its default argument would give this line and not the coroutine's.
    explicit promise(std::source_location made = std::source_location::current()) noexcept : promise_common<T>{made} {}
    task<T> get_return_object() noexcept;
    template <class U = T>
        requires std::constructible_from<T, U> || std::is_reference_v<T>
    void return_value(U&& value) {
        this->result.set_value(std::forward<U>(value));
    }
};

template <>
class promise<void> : public promise_common<void> {
public:
    explicit promise(std::source_location made = std::source_location::current()) noexcept : promise_common<void>{made} {}
    task<void> get_return_object() noexcept;
    static void return_void() noexcept {}
};

/// The promise of a coroutine that is the call of a lambda F, or has a reference to one as its first parameter: its frame refers to
/// the lambda object, and a temporary one ends with the statement. Whether F has captures is known only when F is complete, which
/// it is when this constructor is instantiated.
template <class T, class F>
class lambda_promise final : public promise<T> {
public:
    explicit lambda_promise(std::source_location made = std::source_location::current()) noexcept : promise<T>{made} {
        if constexpr (!std::is_empty_v<F>) this->owner = &borrows_captures;
    }
};

template <class T>
class [[nodiscard]] task_awaiter : public native_awaitable {
public:
    explicit task_awaiter(std::coroutine_handle<> frame) noexcept : frame_{frame} {}
    task_awaiter(const task_awaiter&) = delete;
    task_awaiter& operator=(const task_awaiter&) = delete;
    ~task_awaiter() {
        if (frame_) frame_.destroy();
    }

    static bool await_ready() noexcept { return false; }

    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>,
                      "belay: a task can be awaited only inside another belay::task; from other code use "
                      "runtime.block_on(...) or scope.spawn(...)");
        promise_base& parent = awaiting.promise();
        promise_base& child = promise_of();
        child.parent = &parent;
        child.rec = parent.rec;
        child.owner = &frame_;
        parent.rec->leaf = &child;
        return frame_;
    }

    T await_resume() { return promise_of().result.take(); }

private:
    promise<T>& promise_of() noexcept { return std::coroutine_handle<promise<T>>::from_address(frame_.address()).promise(); }
    std::coroutine_handle<> frame_;
};

}  // namespace detail

/// A lazily started coroutine that belongs to whoever holds the object. Destroying it destroys a frame that never ran
/// (the "never awaited" guardrail says so). Not thread-safe; may be moved until it is awaited or spawned.
/// `co_await std::move(t)` runs it in the awaiting task: the value is returned, an error is rethrown, and a stop unwinds
/// through the awaiting frame without ever returning to it.
template <class T = void>
class [[nodiscard("belay: a task does nothing until it is awaited or spawned: write co_await f(), or scope.spawn(f)")]] task
    : public detail::native_awaitable {
public:
    using promise_type = detail::promise<T>;
    using value_type = T;

    task(task&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
    task& operator=(task&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~task() {
        if (!frame_) return;
        if (typed().promise().rec == nullptr) [[unlikely]] {
            detail::destroy_never_awaited(frame_, typed().promise().site);
        } else {
            frame_.destroy();
        }
    }

    /// False after the task was moved from, awaited or spawned.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(frame_); }

    detail::task_awaiter<T> operator co_await() && noexcept {
        if (!frame_) detail::misuse("a task was awaited twice, or after it was moved from: a task runs once");
        return detail::task_awaiter<T>{std::exchange(frame_, {})};
    }

private:
    friend promise_type;
    friend detail::task_access;
    explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
    [[nodiscard]] std::coroutine_handle<promise_type> typed() const noexcept {
        return std::coroutine_handle<promise_type>::from_address(frame_.address());
    }
    std::coroutine_handle<> frame_;
};

namespace detail {

template <class T>
task<T> promise<T>::get_return_object() noexcept {
    // promise_base::handle() computes the frame from the promise; that needs this layout.
    static_assert(alignof(promise<T>) <= 16);
    return task<T>{std::coroutine_handle<promise<T>>::from_promise(*this)};
}
inline task<void> promise<void>::get_return_object() noexcept {
    return task<void>{std::coroutine_handle<promise<void>>::from_promise(*this)};
}

/// What boundaries (scopes, branches, block_on) need of a task and users do not.
struct task_access {
    /// Makes the task the root of `rec`; the record's next resume starts it. The task object must not move afterwards.
    template <class T>
    static void make_root(task<T>& t, record& rec) noexcept {
        if (!t.frame_) misuse("a task was spawned after it was moved from or awaited: a task runs once");
        promise_base& p = t.typed().promise();
        p.rec = &rec;
        p.owner = &t.frame_;
        rec.leaf = &p;
    }
    /// Where a task that has not started was made, if it is the call of a lambda with captures.
    template <class T>
    static const std::source_location* made_by_lambda(const task<T>& t) noexcept {
        if (!t.frame_) return nullptr;
        const promise_base& p = t.typed().promise();
        return p.owner == &borrows_captures ? &p.site : nullptr;
    }
    template <class T>
    static result_slot<T>& result(task<T>& t) noexcept {
        return t.typed().promise().result;
    }
    template <class T>
    static void destroy(task<T>& t) noexcept {
        if (auto frame = std::exchange(t.frame_, {})) frame.destroy();
    }
};

}  // namespace detail
}  // namespace belay

// Of a lambda's call the first argument is the lambda object, by reference.
template <class T, class F, class... Args>
    requires belay::detail::is_lambda<std::remove_const_t<F>>
struct std::coroutine_traits<belay::task<T>, F&, Args...> {
    using promise_type = belay::detail::lambda_promise<T, F>;
};

#include <belay/runtime/foreign.hpp>  // completes foreign_awaiter
