// expect: misc-coroutine-hostile-raii
#include <belay/belay.hpp>

#include <mutex>

belay::task<> count(std::mutex& lock, int& visits) {
    std::scoped_lock held(lock);
    ++visits;
    co_await belay::yield();
}
