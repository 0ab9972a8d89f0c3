// The C library's clock, for the program under test: on a thread that has a simulation it is the simulation's.
//
// std::chrono's clocks ask clock_gettime(2). This definition comes before the C library's, because it is in the program itself; it is there
// when run_once.cpp is, which refers to it.
#include <belay/runtime/detail/clock.hpp>
#include <belay/tests/kit/clock.hpp>

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace belay::kit::detail {
namespace {

using function = int (*)(clockid_t, timespec*);
std::atomic<function> original{nullptr};

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t epoch_of_simulations_s = 1'700'000'000;  // so that calendars work

int real_time(clockid_t clock, timespec* out) noexcept {
    function f = original.load(std::memory_order_relaxed);
    if (f != nullptr) return f(clock, out);
    return static_cast<int>(::syscall(SYS_clock_gettime, clock, out));  // early in the process, or without a C library to ask
}

}  // namespace

void use_clock() noexcept {
    static const bool found = [] {
        original.store(reinterpret_cast<function>(::dlsym(RTLD_NEXT, "clock_gettime")), std::memory_order_relaxed);
        return true;
    }();
    static_cast<void>(found);
}

}  // namespace belay::kit::detail

extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
    using namespace belay::kit::detail;
    if (belay::detail::virtual_clocks.load(std::memory_order_relaxed) != 0) {
        if (const auto* own = belay::detail::this_thread_clock()) {
            bool calendar = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
            if (calendar || clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME) {
                out->tv_sec = own->now_ns / second_ns + (calendar ? epoch_of_simulations_s : 0);
                out->tv_nsec = own->now_ns % second_ns;
                return 0;
            }
        }
    }
    return real_time(clock, out);
}
