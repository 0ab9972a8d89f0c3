// Parks a known set of tasks, one in each state that scripts/gdb/belay.py tells apart, and aborts. run.sh looks at the core file.
// parked [N]: with N more tasks, all waiting at one place.
#include <belay/belay.hpp>
#include <belay/runtime/detail/core.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr auto for_ever = 24h;
std::atomic<unsigned long> arrived{0};  // tasks whose next suspension is the one that they are to be found in
std::atomic<bool> closing_time{false};
constexpr unsigned long known_tasks = 15;

belay::task<int> receive(belay::receiver<int> orders) {
    ++arrived;
    auto order = co_await orders.recv();
    co_return order.value_or(0);
}

belay::task<> serve(belay::receiver<int> orders) {
    belay::this_task::set_name("waiter");
    co_await receive(std::move(orders));
}

belay::task<> wait_for_the_till(belay::mutex& till) {
    ++arrived;
    auto mine = co_await till.lock();
}

belay::task<int> roast() {
    ++arrived;
    co_await belay::sleep_for(for_ever);
    co_return 1;
}

belay::task<> bake(belay::event& oven_is_hot) {
    ++arrived;
    co_await oven_is_hot.wait();
}

belay::task<> cook(belay::event& oven_is_hot) { co_await belay::when_all(roast(), bake(oven_is_hot)); }

belay::task<> bet() {
    std::vector<belay::task<int>> horses;
    for (int i = 0; i < 3; ++i) horses.push_back(roast());
    co_await belay::when_any(std::move(horses));
}

belay::task<> choose(belay::event& oven_is_hot) {
    ++arrived;
    [[maybe_unused]] auto won = co_await belay::select(oven_is_hot.wait(), belay::sleep_for(for_ever));
}

belay::task<> wait_at_most(belay::event& oven_is_hot) {
    ++arrived;
    co_await belay::timeout(for_ever, oven_is_hot.wait());
}

belay::task<> guard_the_cake(belay::event& oven_is_hot) {
    ++arrived;
    co_await belay::shield(oven_is_hot.wait(), for_ever);
}

belay::task<> close_early(belay::event& oven_is_hot) {
    co_await belay::with_scope({.name = "late"}, [&](belay::scope& late) -> belay::task<> {
        late.spawn(guard_the_cake, std::ref(oven_is_hot));
        late.request_stop();
        co_return;
    });
}

belay::task<> wait_for_the_guest(belay::join_handle<> guest) {
    ++arrived;
    co_await guest.join();
}

belay::task<> read_from(int pipe) {
    ++arrived;
    co_await belay::spawn_blocking([pipe] {
        char c = 0;
        [[maybe_unused]] auto n = ::read(pipe, &c, 1);
    });
}

belay::task<> accept_one() {
    auto door = belay::io::tcp_listener::bind("127.0.0.1:0");
    ++arrived;
    co_await door.accept();
}

belay::task<unsigned long> count_up() {
    ++arrived;
    unsigned long n = 0;
    while (!closing_time) ++n;
    co_return n;
}

belay::task<> keep_the_books() { co_await count_up(); }

belay::task<> fail() {
    throw std::runtime_error("out of coffee");
    co_return;
}

belay::task<> stand_in_line(belay::event& doors_open) {
    ++arrived;
    co_await doors_open.wait();
}

belay::task<> run_the_shop(unsigned long crowd, int pipe) {
    belay::this_task::set_name("shop");
    belay::mutex till;
    belay::event oven_is_hot;
    belay::event doors_open;
    auto [to_waiter, orders] = belay::channel<int>(4);
    auto mine = co_await till.lock();
    auto most_in_the_kitchen = std::max(crowd, 98UL) + 2;
    co_await belay::with_scope({.name = "shop"}, [&](belay::scope& shop) -> belay::task<> {
        shop.spawn(serve, std::move(orders));
        shop.spawn(wait_for_the_till, std::ref(till));
        shop.spawn(choose, std::ref(oven_is_hot));
        shop.spawn(wait_for_the_guest, shop.spawn(wait_at_most, std::ref(oven_is_hot)));
        shop.spawn(close_early, std::ref(oven_is_hot));
        shop.spawn(read_from, pipe);
        shop.spawn(accept_one);
        co_await belay::with_scope({.name = "kitchen", .max_tasks = most_in_the_kitchen, .on_error = belay::on_error::collect},
                                   [&](belay::scope& kitchen) -> belay::task<> {
                                       kitchen.spawn(cook, std::ref(oven_is_hot));
                                       kitchen.spawn(bet);
                                       for (unsigned long i = 0; i < crowd; ++i)
                                           kitchen.spawn(stand_in_line, std::ref(doors_open));
                                       ++arrived;
                                       co_await belay::sleep_for(for_ever);
                                   });
    });
}

}  // namespace

int main(int argc, char** argv) {
    unsigned long crowd = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0;
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return 1;
    belay::runtime cafe{{.workers = 2, .name = "cafe", .guardrails = "all=log,stall=off,stop=log:3s"}};
    belay::local_runtime kiosk{{.name = "kiosk", .guardrails = "all=off"}};
    kiosk.spawn(bet);  // nobody drives it
    cafe.spawn(fail);
    cafe.spawn(run_the_shop, crowd, pipe[0]);
    auto wait_until = [&](unsigned long tasks, unsigned idle_workers) {
        while (arrived != tasks + crowd || cafe.core().idle_.count() != idle_workers) std::this_thread::sleep_for(1ms);
    };
    wait_until(known_tasks - 1, 2);
    cafe.spawn_on(0, keep_the_books);
    wait_until(known_tasks, 1);
    cafe.spawn_on(0, bet);  // has to wait for ever
    std::abort();
}
