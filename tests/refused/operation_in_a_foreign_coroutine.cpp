// expect: sleep_for can be awaited only inside a belay::task
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
foreign wrong() { co_await belay::sleep_for(std::chrono::seconds{1}); }
