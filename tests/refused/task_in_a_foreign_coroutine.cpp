// expect: a task can be awaited only inside another belay::task; from other code use runtime.block_on(...) or scope.spawn(...)
#include <belay/belay.hpp>
struct foreign {
    struct promise_type {
        foreign get_return_object();
        std::suspend_never initial_suspend();
        std::suspend_never final_suspend() noexcept;
        void return_void();
        void unhandled_exception();
    };
};
belay::task<> some();
foreign wrong() { co_await some(); }
