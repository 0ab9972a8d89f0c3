#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/detail/transfer_awaiters.hpp>
#include <belay/io/error.hpp>
#include <belay/io/pipe.hpp>
#include <belay/io/sim/network.hpp>

#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace belay::io {
namespace {

void survive_broken_pipes() noexcept {
    static const bool once = [] {
        struct sigaction now{};
        if (::sigaction(SIGPIPE, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL)
            return true;
        struct sigaction nothing{};
        nothing.sa_handler = [](int) {};
        nothing.sa_flags = SA_RESTART;
        ::sigaction(SIGPIPE, &nothing, nullptr);
        return true;
    }();
    static_cast<void>(once);
}

/// The thread that had submitted the read has ended, and nothing was read. But a timerfd says so when the clock was set.
bool gave_up(int fd) noexcept {
    if (sim::is_simulated(fd)) return false;
    struct stat info{};
    return ::fstat(fd, &info) == 0 && (info.st_mode & S_IFMT) != 0;  // a timerfd is of no type
}

task<std::size_t> read_once(int fd, mutable_buffer buffer) {
    int result = 0;
    do result = co_await detail::pipe_read_awaiter{fd, buffer};
    while (result == -ECANCELED && gave_up(fd));
    if (result < 0) detail::throw_errno(-result, "pipe_reader: read");
    co_return static_cast<std::size_t>(result);
}

task<std::size_t> write_once(int fd, const_buffer data) {
    const int result = co_await detail::pipe_write_awaiter{fd, data};
    if (result == -EPIPE) detail::throw_errno(EPIPE, "pipe_writer: write: all readers have closed");
    if (result < 0) detail::throw_errno(-result, "pipe_writer: write");
    co_return static_cast<std::size_t>(result);
}

task<> read_rest(int fd, mutable_buffer buffer, std::size_t& transferred) {
    while (transferred < buffer.size()) {
        const std::size_t bytes = co_await read_once(fd, buffer.subspan(transferred));
        if (bytes == 0) throw std::system_error{errc::end_of_stream, "belay: pipe_reader: read_exact"};
        transferred += bytes;
    }
}

task<> write_rest(int fd, const_buffer data, std::size_t& transferred) {
    while (transferred < data.size()) transferred += co_await write_once(fd, data.subspan(transferred));
}

}  // namespace

pipe_writer::pipe_writer(descriptor writable) noexcept : end_{std::move(writable)} { survive_broken_pipes(); }

task<std::size_t> pipe_reader::read_some(mutable_buffer buffer) { return read_once(native_handle(), buffer); }

task<> pipe_reader::read_exact(mutable_buffer buffer) {
    std::size_t ignored = 0;
    co_await read_exact(buffer, ignored);
}

task<> pipe_reader::read_exact(mutable_buffer buffer, std::size_t& transferred) {
    transferred = 0;  // at the call: the task that it makes may be stopped before it begins
    return read_rest(native_handle(), buffer, transferred);
}

task<std::size_t> pipe_writer::write_some(const_buffer data) { return write_once(native_handle(), data); }

task<> pipe_writer::write_all(const_buffer data) {
    std::size_t ignored = 0;
    co_await write_all(data, ignored);
}

task<> pipe_writer::write_all(const_buffer data, std::size_t& transferred) {
    transferred = 0;  // as in read_exact()
    return write_rest(native_handle(), data, transferred);
}

task<> pipe_writer::write_all(std::string_view text) { return write_all(as_buffer(text)); }

pipe_ends make_pipe() {
    int ends[2];
    if (detail::socket_calls::pipe(ends) != 0) detail::throw_errno(errno, "make_pipe");
    return {pipe_reader{descriptor{ends[0]}}, pipe_writer{descriptor{ends[1]}}};
}

}  // namespace belay::io
