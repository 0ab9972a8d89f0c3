// reports guard-across-suspension
// needs guard
// begin_update() and end_update() hide that between the two a mutex is locked.
#include <belay/belay.hpp>

#include <map>
#include <mutex>
#include <string>

namespace {

class inventory {
public:
    void begin_update() { mutex_.lock(); }
    void end_update() { mutex_.unlock(); }
    void set(const std::string& item, int count) { counts_[item] = count; }

private:
    std::mutex mutex_;
    std::map<std::string, int> counts_;
};

belay::task<int> count_on_the_shelf() {
    co_await belay::yield();
    co_return 12;
}

belay::task<> stocktaking(inventory& stock) {
    stock.begin_update();
    stock.set("bolts", co_await count_on_the_shelf());  // <- here
    stock.end_update();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    inventory stock;
    runtime.block_on(stocktaking(stock));
    return 0;
}
