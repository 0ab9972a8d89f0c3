// expect: misc-coroutine-hostile-raii
#include <belay/belay.hpp>

belay::task<> start() {
    belay::guardrails::allow why("reads its configuration once");
    co_await belay::yield();
}
