// reports never-awaited
// A std::function<void()> takes whatever can be called and drops what it returns: also a task.
#include <belay/belay.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace {

class button {
public:
    void on_click(std::function<void()> f) { handlers_.push_back(std::move(f)); }
    void click() const {
        for (const auto& f : handlers_) f();
    }

private:
    std::vector<std::function<void()>> handlers_;
};

belay::task<> order_pizza() { co_await belay::yield(); }  // <- here

}  // namespace

int main() {
    button order;
    order.on_click(order_pizza);
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([&]() -> belay::task<> {
        order.click();
        co_return;
    });
    return 0;
}
