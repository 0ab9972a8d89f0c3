// started<T>: how a task that was begun with scope.start() says that it is ready, and that the one who began it may go on.
//
//     belay::task<> serve(belay::started<std::uint16_t> started, options o) {
//         auto listener = bind(o);
//         started.ready(listener.port());               // the await of start() below returns
//         for (;;) co_await handle(co_await listener.accept());
//     }
//     auto port = co_await s.start(serve, options{});   // an error of bind() is thrown here, and here alone
#pragma once

#include <belay/runtime/detail/start_state.hpp>
#include <belay/runtime/task.hpp>

#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace belay {

/// What the await of start() throws when the task has ended without an error and never called ready().
class never_ready : public std::runtime_error {
public:
    never_ready() : std::runtime_error("belay: the task that was started has ended without having called started::ready()") {}
};

/// One-shot; move-only. May be moved to and used on any thread, also after the task, or the one who began it, has ended. One that is
/// dropped unused says nothing: the one who waits learns of it when the task ends.
template <class T = void>
class started {
public:
    started(started&&) noexcept = default;
    started& operator=(started&&) noexcept = default;

    /// Gives the value to the one who waits; if nobody does any more (it was stopped), the value is dropped. Never suspends. Once:
    /// a second call is a named failure. Throws what moving the value throws, and is then as if it had not been called.
    template <class U = T>
        requires(!std::is_void_v<T> && std::is_constructible_v<T, U>)
    void ready(U&& value) {
        claim().result.set_value(std::forward<U>(value));
        tell();
    }
    void ready()
        requires std::is_void_v<T>
    {
        claim();
        tell();
    }

private:
    template <class>
    friend struct detail::start_access;
    explicit started(std::shared_ptr<detail::start_state<T>> state) noexcept : state_{std::move(state)} {}
    detail::start_state<T>& claim() const {
        if (!state_) detail::misuse("started::ready() was called twice, or after the object was moved from");
        return *state_;
    }
    void tell() noexcept { std::exchange(state_, nullptr)->settle(detail::start_end::ready); }
    std::shared_ptr<detail::start_state<T>> state_;
};

}  // namespace belay
