// reports blocking-call
// needs guard
// policy stall=off
// The driver of a device waits as drivers did in 1990.
#include <belay/belay.hpp>

#include <unistd.h>

namespace {

class adc {
public:
    void start() { busy_ = 3; }
    bool ready() { return --busy_ == 0; }

private:
    int busy_ = 0;
};

int convert(adc& device) {
    device.start();
    while (!device.ready()) ::usleep(4000);
    return 512;
}

belay::task<int> sample(adc& device) { co_return convert(device); }

belay::task<int> average() {
    adc device;
    int sum = 0;
    for (int i = 0; i < 2; ++i) sum += co_await sample(device);  // <- here
    co_return sum / 2;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(average);
    return 0;
}
