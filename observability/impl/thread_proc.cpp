#include <belay/observability/impl/thread_proc.hpp>

#include <belay/runtime/detail/thread_cpu.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace belay::detail {
namespace {

using std::chrono::nanoseconds;

// The word behind `label` in a file of "Label:\tvalue" lines.
std::string_view field(std::string_view text, std::string_view label) noexcept {
    auto at = text.find(label);
    if (at == std::string_view::npos) return {};
    text.remove_prefix(at + label.size());
    auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    text.remove_prefix(begin);
    return text.substr(0, text.find_first_of(" \t\n"));
}

template <class Number>
Number number(std::string_view text, int base = 10) noexcept {
    Number value = 0;
    if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
    std::from_chars(text.data(), text.data() + text.size(), value, base);
    return value;
}

double real(std::string_view text) noexcept {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string_view next_word(std::string_view& rest) noexcept {
    auto begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) return rest = {};
    rest.remove_prefix(begin);
    auto word = rest.substr(0, rest.find_first_of(" \n"));
    rest.remove_prefix(word.size());
    return word;
}

}  // namespace

void read_proc(const char* path, proc_text& into) noexcept {
    into.size = 0;
    std::array<char, 128> full{};
    std::snprintf(full.data(), full.size(), "/proc/self/%s", path);
    int fd = ::open(full.data(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    while (into.size < into.bytes.size()) {
        auto n = ::read(fd, into.bytes.data() + into.size, into.bytes.size() - into.size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        into.size += static_cast<std::size_t>(n);
    }
    ::close(fd);
}

void read_task_file(int tid, const char* file, proc_text& into) noexcept {
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "task/%d/%s", tid, file);
    read_proc(path.data(), into);
}

thread_times read_times(int tid) noexcept {
    thread_times result;
    proc_text text;
    read_task_file(tid, "stat", text);
    auto name_end = text.view().rfind(')');  // the name may hold anything, a bracket too
    if (name_end == std::string_view::npos || name_end + 2 >= text.size) return result;
    result.state = text.bytes[name_end + 2];
    read_task_file(tid, "schedstat", text);
    auto rest = text.view();
    next_word(rest);
    result.run_queue = nanoseconds{number<std::int64_t>(next_word(rest))};
    result.cpu = nanoseconds{thread_cpu_ns(tid)};
    result.when = std::chrono::steady_clock::now();
    result.valid = result.cpu.count() >= 0;
    return result;
}

thread_syscall read_syscall(int tid) noexcept {
    thread_syscall result;
    proc_text text;
    read_task_file(tid, "syscall", text);
    auto rest = text.view();
    auto first = next_word(rest);
    if (first.empty() || first == "running") return result;
    result.number = number<long>(first);
    if (result.number >= 0)
        for (auto& arg : result.args) arg = number<std::uint64_t>(next_word(rest), 16);
    result.sp = number<std::uint64_t>(next_word(rest), 16);
    result.pc = number<std::uint64_t>(next_word(rest), 16);
    result.asleep = result.sp != 0;
    return result;
}

bool is_overloaded(std::string_view pressure, std::string_view load, unsigned cpus) noexcept {
    constexpr double most_waiting_percent = 50;
    constexpr double most_per_cpu = 2;
    double average = real(next_word(load));
    next_word(load);
    next_word(load);
    double runnable_now = real(next_word(load));  // "9/233": the averages lag behind by seconds
    if (runnable_now > most_per_cpu * cpus) return true;
    if (auto waiting = field(pressure, "some avg10="); !waiting.empty()) return real(waiting) > most_waiting_percent;
    return average > most_per_cpu * cpus;
}

bool host_is_overloaded() noexcept {
    proc_text pressure;
    proc_text load;
    read_proc("../pressure/cpu", pressure);
    read_proc("../loadavg", load);
    return is_overloaded(pressure.view(), load.view(), static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L)));
}

bool is_traced() noexcept {
    proc_text text;
    read_proc("status", text);
    return number<int>(field(text.view(), "TracerPid:")) != 0;
}

bool blocks_signal(int tid, int signal) noexcept {
    proc_text text;
    read_task_file(tid, "status", text);
    auto mask = number<std::uint64_t>(field(text.view(), "SigBlk:"), 16);
    return ((mask >> static_cast<unsigned>(signal - 1)) & 1U) != 0;
}

}  // namespace belay::detail
