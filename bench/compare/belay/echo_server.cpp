// belay: the echo server of the README. As `skew` it also has a task that keeps its worker busy for 5 ms of every 10 ms;
// BELAY_COMPARE_TAKEOVER=off shows what the other connections would see without takeover (promise 6).
#include <belay/belay.hpp>

#include <sched.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "measure.hpp"

namespace {

namespace io = belay::io;
using namespace std::chrono_literals;

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

/// The worker that burns has CPU 0; the other one shares CPU 1 with the load, as if the load came from another machine. What is
/// measured is the runtime and not where the kernel puts four threads on two CPUs.
void take_cpu_0() {
    auto pin = [](int thread, int cpu) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void)::sched_setaffinity(thread, sizeof set, &set);  // a machine with one CPU: no matter
    };
    cpu_set_t now;
    if (::sched_getaffinity(0, sizeof now, &now) == 0 && CPU_COUNT(&now) == 1 && CPU_ISSET(0, &now)) return;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
        std::string name;
        std::ifstream comm{entry.path() / "comm"};
        std::getline(comm, name);
        if (name.starts_with("belay/")) pin(std::stoi(entry.path().filename()), 1);
    }
    pin(0, 0);
}

belay::task<> hog() {
    for (;;) {
        take_cpu_0();
        compare::burn(5ms);
        co_await belay::sleep_for(5ms);
    }
}

belay::task<> serve(bool skewed) {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    compare::report_port(listener.local().port());
    co_await belay::with_scope({.name = "connections", .on_error = belay::on_error::isolate},
                               [&](belay::scope& s) -> belay::task<> {
                                   if (skewed) s.spawn(hog);
                                   for (;;) s.spawn(echo, co_await listener.accept());
                               });
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    belay::runtime_options options{.workers = a.workers};
    const char* takeover = std::getenv("BELAY_COMPARE_TAKEOVER");
    if (takeover != nullptr && std::string_view{takeover} == "off") options.takeover_tick = 0ns;
    belay::runtime runtime{options};
    runtime.block_on(serve(a.name == "skew"));
}
