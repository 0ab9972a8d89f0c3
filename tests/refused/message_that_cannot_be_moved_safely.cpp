// expect: a message must be nothrow-movable, or a throwing move could lose it: send a std::unique_ptr<T>
#include <belay/belay.hpp>
struct fragile {
    fragile(fragile&&) noexcept(false);
};
void wrong() { (void)belay::channel<fragile>(1); }
