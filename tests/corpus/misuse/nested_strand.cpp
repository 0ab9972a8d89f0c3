// aborts "strand.run() was awaited inside a coroutine that runs on the same strand"
// A function that uses the strand calls another one that does.
#include <belay/belay.hpp>

namespace {

class account {
public:
    belay::task<> deposit(long amount) {
        co_await strand_.run([&] { balance_ += amount; });
    }
    belay::task<> deposit_salary() {
        co_await strand_.run([this]() -> belay::task<> {
            co_await deposit(1000);
            co_await deposit(-100);  // the tax
        });
    }

private:
    belay::strand strand_;
    long balance_ = 0;
};

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    account alice;
    runtime.block_on(alice.deposit_salary());
    return 0;
}
