// A spawned task: the record with the callable, its arguments and the result, in one allocation; the frame is the other.
#pragma once

#include <belay/runtime/detail/child_record.hpp>
#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/detail/result_slot.hpp>

#include <functional>
#include <memory>
#include <new>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

namespace belay::detail {

// ---- what may be spawned ---------------------------------------------------------------------------------------

template <class>
struct parameters {  // a template or an overload set: its parameters cannot be seen
    template <std::size_t>
    static constexpr bool is_reference = false;
};
template <class R>
struct parameters<R()> {
    template <std::size_t>
    static constexpr bool is_reference = false;
};
template <class R, class P, class... Ps>
struct parameters<R(P, Ps...)> {
    using first = P;
    template <std::size_t I>
    static constexpr bool is_reference = [] {
        if constexpr (I <= sizeof...(Ps)) {
            return std::is_reference_v<std::tuple_element_t<I, std::tuple<P, Ps...>>>;
        } else {
            return false;
        }
    }();
};
template <class R, class... Ps>
struct parameters<R (*)(Ps...)> : parameters<R(Ps...)> {};
template <class R, class... Ps>
struct parameters<R (*)(Ps...) noexcept> : parameters<R(Ps...)> {};
template <class R, class C, class... Ps>
struct parameters<R (C::*)(Ps...)> : parameters<R(Ps...)> {};
template <class R, class C, class... Ps>
struct parameters<R (C::*)(Ps...) const> : parameters<R(Ps...)> {};
template <class R, class C, class... Ps>
struct parameters<R (C::*)(Ps...) noexcept> : parameters<R(Ps...)> {};
template <class R, class C, class... Ps>
struct parameters<R (C::*)(Ps...) const noexcept> : parameters<R(Ps...)> {};

template <class F>
constexpr auto parameters_of() {
    if constexpr (requires { &F::operator(); }) {
        return parameters<decltype(&F::operator())>{};
    } else {
        return parameters<F>{};
    }
}

template <class>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

template <class F, class... Args, std::size_t... I>
constexpr bool takes_dangling_reference(std::index_sequence<I...>) {
    using ps = decltype(parameters_of<F>());
    return ((ps::template is_reference<I> && !is_reference_wrapper<Args>) || ...);
}

/// Checks a callable and its decayed arguments, with sentences for what is wrong, and gives the task's value type.
template <class F, class... Args>
struct spawn_traits {
    static_assert(std::is_invocable_v<F&, Args...>,
                  "belay: spawn(f, args...) calls f(args...) with its own copies of the arguments, and these do not fit");
    using result = std::invoke_result_t<F&, Args...>;
    static_assert(is_task<result>,
                  "belay: spawn needs a callable that returns belay::task<T>; for a plain function write "
                  "spawn_blocking(f), or wrap it in a coroutine lambda");
    static_assert(!takes_dangling_reference<F, Args...>(std::index_sequence_for<Args...>{}),
                  "belay: a spawned coroutine must not take references: its caller's objects may be gone when it runs. "
                  "Take the parameter by value, or pass std::ref(x) to say that x outlives the scope");
    using value_type = typename result::value_type;
};

// ---- the record ------------------------------------------------------------------------------------------------

/// What a join handle reads, whatever was spawned.
template <class T>
class spawned_result : public child_record {
public:
    using value_type = T;
    using child_record::child_record;
    result_slot<T> result;

protected:
    ~spawned_result() {
        if (result.has_error()) this->report_if_unseen(result.error());
    }
};

template <class T, class F, class... Args>
class spawned final : public spawned_result<T> {
public:
    // The pool does not serve what is over-aligned: a callable that captures a SIMD type, or such an argument.
    static void* operator new(std::size_t bytes) {
        if constexpr (alignof(spawned) > pool_alignment) {
            return ::operator new(bytes, std::align_val_t{alignof(spawned)});
        } else {
            return pool_allocate(bytes);
        }
    }
    static void operator delete(void* block, std::size_t bytes) noexcept {
        if constexpr (alignof(spawned) > pool_alignment) {
            ::operator delete(block, bytes, std::align_val_t{alignof(spawned)});
        } else {
            pool_free(block, bytes);
        }
    }

    template <class G, class... Bs>
    spawned(scope& parent, std::source_location site, G&& callable, Bs&&... args)
        : spawned_result<T>{parent, site}, payload_(std::forward<G>(callable), std::forward<Bs>(args)...) {}
    ~spawned() {}  // the payload is gone already, see on_done()

    bool begin() noexcept override {
        try {
            std::construct_at(&root_, std::apply([](F& f, Args&... args) -> task<T> { return f(std::move(args)...); }, payload_));
        } catch (...) {
            this->result.set_error(std::current_exception());
            return false;
        }
        this->has_root_ = true;
        task_access::make_root(root_, *this);
        return true;
    }

    record* on_done(outcome how) noexcept override {
        if (this->has_root_) {
            if (how != outcome::stopped && !this->result.take_from(task_access::result(root_))) how = outcome::error;
            std::destroy_at(&root_);  // the frame, then the closure that it may refer to
        }
        std::destroy_at(&payload_);
        return this->end_child(how, how == outcome::error ? &this->result.error() : nullptr);
    }

    /// For a record that was never queued.
    void discard() noexcept {
        std::destroy_at(&payload_);
        delete this;
    }
    void destroy_self() noexcept override { delete this; }
    [[nodiscard]] std::size_t footprint() const noexcept override { return sizeof(spawned); }

private:
    union {
        std::tuple<F, Args...> payload_;
    };
    union {
        task<T> root_;
    };
};

/// `spawn(task)`: the callable is the identity.
template <class T>
struct given_task {
    task<T> t;
    task<T> operator()() { return std::move(t); }
};

}  // namespace belay::detail
