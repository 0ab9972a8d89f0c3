// belay: messages and locks between tasks of one runtime, through the bounded channel and the async mutex.
// Cases: channel_1_1, channel_4_1, pingpong, mutex1, mutex8.
#include <belay/belay.hpp>

#include "measure.hpp"

namespace {

using sender = belay::sender<std::uint64_t>;
using receiver = belay::receiver<std::uint64_t>;

belay::task<> send(sender to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await to.send(i);
}

belay::task<> receive(receiver from, std::uint64_t count) {
    std::uint64_t received = 0;
    while (co_await from.recv()) ++received;
    compare::check(received == count, "channel");
}

belay::task<> channel(unsigned senders, std::uint64_t count) {
    auto [tx, rx] = belay::channel<std::uint64_t>(128);
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (unsigned i = 1; i < senders; ++i) s.spawn(send, tx, count / senders);
        s.spawn(send, std::move(tx), count / senders);
        s.spawn(receive, std::move(rx), count / senders * senders);
        co_return;
    });
}

belay::task<> ping(sender to, receiver from, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        co_await to.send(i);
        compare::check(co_await from.recv() == i, "pingpong");
    }
}

belay::task<> pong(receiver from, sender to) {
    while (auto i = co_await from.recv()) co_await to.send(*i);
}

belay::task<> pingpong(std::uint64_t count) {
    auto [there, at_pong] = belay::channel<std::uint64_t>(1);
    auto [back, at_ping] = belay::channel<std::uint64_t>(1);
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(ping, std::move(there), std::move(at_ping), count);
        s.spawn(pong, std::move(at_pong), std::move(back));
        co_return;
    });
}

belay::task<> lock(belay::mutex* mutex, std::uint64_t* total, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        auto guard = co_await mutex->lock();
        ++*total;
    }
}

belay::task<> mutex(unsigned tasks, std::uint64_t count) {
    belay::mutex guard;
    std::uint64_t total = 0;
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (unsigned i = 0; i < tasks; ++i) s.spawn(lock, &guard, &total, count / tasks);
        co_return;
    });
    compare::check(total == count / tasks * tasks, "mutex");
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    belay::runtime runtime{{.workers = a.workers}};
    compare::stopwatch watch;
    if (a.name == "channel_1_1") {
        runtime.block_on(channel(1, a.count));
    } else if (a.name == "channel_4_1") {
        runtime.block_on(channel(4, a.count));
    } else if (a.name == "pingpong") {
        runtime.block_on(pingpong(a.count));
    } else if (a.name == "mutex1") {
        runtime.block_on(mutex(1, a.count));
    } else if (a.name == "mutex8") {
        runtime.block_on(mutex(8, a.count));
    } else {
        compare::unknown_case(a);
    }
    compare::report_each(a, watch, static_cast<double>(a.count));
}
