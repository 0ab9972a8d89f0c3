// expect: nothing
#include <belay/belay.hpp>

#include <mutex>
#include <string>

belay::task<std::size_t> length(const std::string& text) {
    co_await belay::yield();
    co_return text.size();
}

belay::task<> serve(belay::mutex& lock, std::mutex& short_lock, int& visits) {
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn([&]() -> belay::task<> {
            auto held = co_await lock.lock();
            {
                std::scoped_lock brief(short_lock);
                ++visits;
            }
            co_await belay::yield();
        });
        std::string text = "belay";
        co_await length(text);
    });
}
