// expect: misc-coroutine-hostile-raii
#include <belay/belay.hpp>

belay::task<> count(belay::sync_mutex& lock, int& visits) {
    belay::sync_lock held(lock);
    ++visits;
    co_await belay::yield();
}
