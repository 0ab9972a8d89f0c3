// Boost.Asio as C++ programs use it today: co_spawn and awaitable on an io_context that WORKERS threads run.
// It has no fork-join and no async mutex; its experimental::concurrent_channel is the channel.
#include <boost/asio.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>

#include <thread>
#include <vector>

#include "measure.hpp"

namespace asio = boost::asio;
using asio::awaitable, asio::detached, asio::use_awaitable;
using channel = asio::experimental::concurrent_channel<void(boost::system::error_code, std::uint64_t)>;

namespace {

void run(asio::io_context& context, unsigned workers) {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < workers; ++i) others.emplace_back([&] { context.run(); });
    context.run();
}

awaitable<void> nothing() { co_return; }

// The join is the end of run(): it returns when no work is left.
awaitable<void> spawn_join(std::uint64_t count) {
    auto executor = co_await asio::this_coro::executor;
    for (std::uint64_t i = 0; i < count; ++i) co_spawn(executor, nothing(), detached);
}

awaitable<void> yield(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await asio::post(use_awaitable);
}

awaitable<void> offload(asio::thread_pool& pool, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await asio::post(pool, use_awaitable);
}

awaitable<void> send(channel& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await to.async_send({}, i, use_awaitable);
}

awaitable<void> receive(channel& from, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await from.async_receive(use_awaitable);
}

awaitable<void> ping(channel& to, channel& from, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        co_await to.async_send({}, i, use_awaitable);
        compare::check(co_await from.async_receive(use_awaitable) == i, "pingpong");
    }
}

awaitable<void> pong(channel& from, channel& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
        co_await to.async_send({}, co_await from.async_receive(use_awaitable), use_awaitable);
}

awaitable<void> sleep_until_due(std::uint64_t i) {
    asio::steady_timer timer{co_await asio::this_coro::executor, compare::deadline(i)};
    co_await timer.async_wait(use_awaitable);
}

awaitable<void> timers(std::uint64_t count) {
    auto executor = co_await asio::this_coro::executor;
    for (std::uint64_t i = 0; i < count; ++i) co_spawn(executor, sleep_until_due(i), detached);
}

awaitable<void> park(asio::steady_timer& event) {
    boost::system::error_code ignored;
    co_await event.async_wait(asio::redirect_error(use_awaitable, ignored));
}

void parked_bytes(const compare::arguments& a) {
    asio::io_context context{static_cast<int>(a.workers)};
    asio::steady_timer event{context, asio::steady_timer::time_point::max()};
    compare::stopwatch watch;
    double before = compare::resident_bytes();
    for (std::uint64_t i = 0; i < a.count; ++i) co_spawn(context, park(event), detached);
    context.poll();
    compare::report(a, (compare::resident_bytes() - before) / static_cast<double>(a.count), "B", watch.cpu());
    event.cancel();
    context.run();
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    if (a.name == "parked_bytes") return parked_bytes(a), 0;

    asio::io_context context{static_cast<int>(a.workers)};
    asio::thread_pool pool{1};
    channel there{context, a.name == "pingpong" ? 1U : 128U}, back{context, 1};
    if (a.name == "spawn_join") {
        co_spawn(context, spawn_join(a.count), detached);
    } else if (a.name == "yield1") {
        co_spawn(context, yield(a.count), detached);
    } else if (a.name == "yield100") {
        for (int i = 0; i < 100; ++i) co_spawn(context, yield(a.count / 100), detached);
    } else if (a.name == "offload") {
        co_spawn(context, offload(pool, a.count), detached);
    } else if (a.name == "channel_1_1") {
        co_spawn(context, send(there, a.count), detached);
        co_spawn(context, receive(there, a.count), detached);
    } else if (a.name == "channel_4_1") {
        for (int i = 0; i < 4; ++i) co_spawn(context, send(there, a.count / 4), detached);
        co_spawn(context, receive(there, a.count), detached);
    } else if (a.name == "pingpong") {
        co_spawn(context, ping(there, back, a.count), detached);
        co_spawn(context, pong(there, back, a.count), detached);
    } else if (a.name == "timers") {
        co_spawn(context, timers(a.count), detached);
    } else {
        compare::unknown_case(a);
    }
    compare::stopwatch watch;
    run(context, a.workers);
    if (a.name == "timers") return compare::report(a, watch.cpu(), "cpu_s", watch.cpu()), 0;
    compare::report_each(a, watch, static_cast<double>(a.count));
}
