// What every C++ program here shares: wall and CPU time around the measured part, and the one line of JSON that `run` reads.
// A program is called as `program CASE WORKERS COUNT` and measures once, so that `run` can interleave the implementations.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace compare {

struct arguments {
    std::string_view name;
    unsigned workers;
    std::uint64_t count;
};

inline arguments parse(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s CASE WORKERS COUNT\n", argv[0]);
        std::exit(2);
    }
    return {argv[1], static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)), std::strtoull(argv[3], nullptr, 10)};
}

inline double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline double resident_bytes() {
    std::ifstream statm{"/proc/self/statm"};
    double total = 0, resident = 0;
    statm >> total >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

class stopwatch {
public:
    double wall() const { return std::chrono::duration<double>(clock::now() - start_).count(); }
    double cpu() const { return cpu_seconds() - cpu_; }

private:
    using clock = std::chrono::steady_clock;
    clock::time_point start_ = clock::now();
    double cpu_ = cpu_seconds();
};

inline void report(const arguments& a, double value, const char* unit, double cpu) {
    std::printf("{\"case\":\"%.*s\",\"workers\":%u,\"value\":%.6g,\"unit\":\"%s\",\"cpu_s\":%.6f}\n",
                static_cast<int>(a.name.size()), a.name.data(), a.workers, value, unit, cpu);
    std::fflush(stdout);
}

// Wall time of one of `count` operations.
inline void report_each(const arguments& a, const stopwatch& watch, double count) {
    double cpu = watch.cpu();
    report(a, watch.wall() * 1e9 / count, "ns", cpu);
}

// A server tells its port, and is then killed by `run`.
inline void report_port(unsigned port) {
    std::printf("{\"port\":%u}\n", port);
    std::fflush(stdout);
}

[[noreturn]] inline void unknown_case(const arguments& a) {
    std::fprintf(stderr, "no case '%.*s' here\n", static_cast<int>(a.name.size()), a.name.data());
    std::exit(2);
}

inline void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "wrong result: %s\n", what);
    std::exit(1);
}

// Deadlines of the timers case: the same pseudo-random microseconds in 0..1 s in every language.
inline std::chrono::microseconds deadline(std::uint64_t i) { return std::chrono::microseconds(i * 2'654'435'761U % 1'000'000); }

// Uses up CPU without ever giving the thread back: the misbehaving task of the skew case.
inline void burn(std::chrono::nanoseconds time) {
    for (auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {}
}

}  // namespace compare
