// The awaiting side of scope.start(). Included by scope.hpp.
#pragma once

#include <belay/runtime/scope.hpp>
#include <belay/runtime/started.hpp>
#include <belay/runtime/this_task.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace belay::detail {

template <class T>
struct start_access {
    static started<T> make(std::shared_ptr<start_state<T>> state) noexcept { return started<T>{std::move(state)}; }
};

struct deduced;
template <class>
struct started_value;
template <class T>
struct started_value<started<T>> {
    using type = T;
};

/// The T of the started<T> that F takes first, or what the user says where F does not show it.
template <class T, class F>
struct start_value {
    using type = T;
};
template <class F>
struct start_value<deduced, F> {
    static constexpr bool shown = requires { typename started_value<typename decltype(parameters_of<F>())::first>::type; };
    static_assert(shown,
                  "belay: start(f, args...) needs an f that takes a belay::started<T> first; if f is a template, name the T: "
                  "write scope.start<T>(f, args...), or scope.start<void>(f, args...)");
    using type = typename started_value<typename decltype(parameters_of<F>())::first>::type;
};

/// The task's hold on what it shares with the waiter. A task that cannot even begin (no memory for its frame, an argument whose move
/// throws) has nobody else to tell the waiter; the error is the scope's then.
template <class T>
class start_link {
public:
    explicit start_link(std::shared_ptr<start_state<T>> state) noexcept : state_{std::move(state)} {}
    start_link(start_link&&) noexcept = default;
    ~start_link() {
        if (state_) state_->settle(start_end::returned);  // nothing, where an end is known
    }
    [[nodiscard]] const std::shared_ptr<start_state<T>>& state() const noexcept { return state_; }

private:
    std::shared_ptr<start_state<T>> state_;
};

/// The task: f, and around it whoever tells the waiter how it ended if it was never ready.
template <class T, class F, class... Args>
task<> run_started(start_link<T> link, F f, Args... args) {
    const auto& state = link.state();
    struct end_guard {
        start_state<T>& shared;
        start_end how = start_end::stopped;  // unless one of the lines below is reached
        ~end_guard() {
            if (how == start_end::stopped) shared.why = this_task::stop_reason();
            shared.settle(how);
        }
    } guard{*state};
    try {
        (void)co_await f(start_access<T>::make(state), std::move(args)...);
        guard.how = start_end::returned;
    } catch (...) {
        guard.how = start_end::failed;
        state->error = std::current_exception();  // not read unless the next line takes it
        if (!state->settle(start_end::failed)) throw;
    }
}

template <class T, class F, class... Args>
class [[nodiscard("belay: write co_await scope.start(...)")]] start_awaiter final : public start_operation,
                                                                                    public native_awaitable {
public:
    template <class G, class... Bs>
    explicit start_awaiter(scope& s, G&& f, Bs&&... args) : scope_{&s}, payload_{std::forward<G>(f), std::forward<Bs>(args)...} {}
    start_awaiter(start_awaiter&&) = default;

    static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) {
        static_assert(task_promise<P>, "belay: start can be awaited only inside a belay::task");
        state_ = std::make_shared<start_state<T>>();
        shared_ = state_.get();
        if (!suspend_on(*awaiting.promise().rec)) return true;
        if (!may_spawn()) return true;
        try {
            std::apply(
                [&](F& f, Args&... args) {
                    scope_->spawn_at(awaiting.promise().site, run_started<T, F, Args...>, start_link<T>{state_}, std::move(f),
                                     std::move(args)...);
                },
                payload_);
        } catch (...) {
            error_ = std::current_exception();  // full, closed, or no memory: nothing was spawned
            return !complete_inline();
        }
        return wait();
    }
    T await_resume() {
        if (error_) std::rethrow_exception(error_);
        switch (state_->end()) {
        case start_end::ready: break;
        case start_end::failed: std::rethrow_exception(state_->error);
        case start_end::stopped: throw task_stopped{state_->why};
        case start_end::waiting:
        case start_end::returned: throw never_ready{};
        }
        return state_->result.take();
    }

private:
    scope* scope_;
    std::tuple<F, Args...> payload_;
    std::shared_ptr<start_state<T>> state_;
    std::exception_ptr error_;
};

template <class T, class F, class... Args>
auto make_start(scope& s, F&& f, Args&&... args) {
    using value = typename start_value<T, std::decay_t<F>>::type;
    // The sentences of spawn for what does not fit, and for references.
    static_assert(requires { typename spawn_traits<std::decay_t<F>, started<value>, std::decay_t<Args>...>::value_type; });
    return start_awaiter<value, std::decay_t<F>, std::decay_t<Args>...>{s, std::forward<F>(f), std::forward<Args>(args)...};
}

}  // namespace belay::detail
