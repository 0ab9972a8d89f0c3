// expect: this type cannot be awaited: it has no await_ready/await_suspend/await_resume and no operator co_await
#include <belay/belay.hpp>
belay::task<> wrong() { co_await 42; }
