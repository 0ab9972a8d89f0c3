// A pipe: bytes in order, one way, between tasks, threads or processes.
//
//     auto [out, in] = io::make_pipe();
//     co_await in.write_all("done\n");
//     std::array<std::byte, 64> buffer;
//     std::size_t n = co_await out.read_some(buffer);      // 0: no writer is left
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/descriptor.hpp>
#include <belay/runtime/task.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace belay::io {

/// The end of a pipe that is read from; also for what else read(2) waits for: a FIFO, a terminal, standard input, an eventfd.
///
/// Contract, of both ends
/// - Move-only owner of the descriptor; the destructor closes it. Neither close, destroy nor move it while an operation on it is in
///   flight (see descriptor). One operation at a time; the two ends are independent.
/// - Buffers are the caller's and stay alive and untouched until the operation has ended.
/// - Errors are std::system_error with the errno.
class pipe_reader {
public:
    /// Open to nothing; every operation ends with EBADF.
    pipe_reader() noexcept = default;
    /// Takes over a descriptor that can be read from, e.g. one that was inherited.
    explicit pipe_reader(descriptor readable) noexcept : end_{std::move(readable)} {}

    /// Waits until there is something and reads at most buffer.size() bytes. 0 means that all writers have closed and everything was
    /// read, or an empty buffer. On stop: nothing was read.
    [[nodiscard]] task<std::size_t> read_some(mutable_buffer buffer);
    /// Fills the whole buffer. Throws std::system_error with errc::end_of_stream when the writers close before that. On stop:
    /// `transferred` bytes were read.
    [[nodiscard]] task<> read_exact(mutable_buffer buffer);
    [[nodiscard]] task<> read_exact(mutable_buffer buffer, std::size_t& transferred);

    /// Closes now. Idempotent. Who writes to a pipe that nobody can read any more gets EPIPE.
    void close() noexcept { end_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return end_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return end_.native_handle(); }
    [[nodiscard]] descriptor release() noexcept { return std::move(end_); }

private:
    descriptor end_;
};

/// The end of a pipe that is written to; see pipe_reader for the contract.
///
/// write(2) to a pipe that nobody reads raises SIGPIPE, whose default is to end the process, and there is no flag against it as for
/// sockets. So the first pipe_writer of a process that has the default gives it a handler that does nothing; programs that it
/// executes find the default again.
class pipe_writer {
public:
    pipe_writer() noexcept = default;
    explicit pipe_writer(descriptor writable) noexcept;

    /// Waits until there is room and returns how many bytes were taken, at least 1 unless `data` is empty. EPIPE: nobody can read
    /// it. On stop: nothing was written.
    [[nodiscard]] task<std::size_t> write_some(const_buffer data);
    /// Writes all of it. On stop, and on an error: `transferred` bytes were written.
    [[nodiscard]] task<> write_all(const_buffer data);
    [[nodiscard]] task<> write_all(const_buffer data, std::size_t& transferred);
    [[nodiscard]] task<> write_all(std::string_view text);

    /// Closes now: the reader finds the end once it has read what is in the pipe. Idempotent.
    void close() noexcept { end_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return end_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return end_.native_handle(); }
    [[nodiscard]] descriptor release() noexcept { return std::move(end_); }

private:
    descriptor end_;
};

struct pipe_ends {
    pipe_reader out;
    pipe_writer in;
};

/// A new pipe. Both descriptors are close-on-exec, and do not block: a program that is given one has to know, or take that off.
/// Throws std::system_error (EMFILE, ENFILE). Linux lets a user have 16,384 pages in pipes (fs.pipe-user-pages-soft); beyond that a
/// pipe holds two pages instead of 16.
[[nodiscard]] pipe_ends make_pipe();

}  // namespace belay::io
