// expect: bugprone-use-after-move
#include <belay/belay.hpp>

#include <utility>

belay::task<> twice(belay::task<> work) {
    co_await std::move(work);
    co_await std::move(work);
}
