#include <belay/io/detail/file_calls.hpp>
#include <belay/io/detail/transfer_awaiters.hpp>
#include <belay/io/error.hpp>
#include <belay/io/file.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <limits>
#include <stdexcept>

namespace belay::io {
namespace {

using detail::file_calls;

/// Reads up to this size are tried at once: what is in memory is copied sooner than a ring has been asked.
constexpr std::size_t small_read = std::size_t{64} << 10;

[[noreturn]] void throw_file_error(int error, const std::string& action, const std::string& name) {
    std::string text = action + ' ' + (name.empty() ? "a file without a name" : name);
    if (error == ENOSPC) text += " (the disk is full: see `df -h` and `df -i`)";
    if (error == ESPIPE) text += " (it is a pipe or a terminal: use pipe_reader and pipe_writer)";
    if (error == EMFILE) text += " (the process has no descriptor left: raise `ulimit -n`, or keep fewer files open)";
    detail::throw_errno(error, text);
}

std::string at_offset(const char* action, std::uint64_t offset) {
    return std::string{action} + " at " + std::to_string(offset) + " of";
}

/// Throws for what no system call could be asked.
void check_path(const char* function, const std::string& path) {
    if (path.find('\0') != path.npos)
        throw std::invalid_argument{std::string{"belay: "} + function +
                                    ": the path has a zero byte, at which the kernel would cut it"};
}

std::int64_t signed_offset(std::uint64_t offset, std::size_t bytes, const std::string& action, const std::string& name) {
    if (offset > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - bytes)
        throw_file_error(EFBIG, action, name);
    return static_cast<std::int64_t>(offset);
}

/// The Asio driver has nothing that waits for files.
bool driver_waits_for_files() noexcept { return belay::detail::this_worker()->core().io->waits_for_files(); }

/// Bytes, or -errno; -EAGAIN when it would have to wait for the disk, or might.
std::int32_t read_from_memory(int fd, mutable_buffer buffer, std::int64_t offset) noexcept {
    if (sim::is_simulated(fd) || buffer.size() > small_read || !belay::detail::spend_budget()) return -EAGAIN;
    belay::detail::own_code mine;  // it does not wait
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    const auto result = ::preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    if (result > 0) return static_cast<std::int32_t>(result);
    if (result == 0) return -EAGAIN;  // the end, or Linux 5.9 and 5.10, which say so within a file, too
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR ? -EAGAIN : -errno;
}

task<std::int32_t> read_at(int fd, std::int64_t offset, mutable_buffer buffer) {
    if (const auto result = read_from_memory(fd, buffer, offset); result != -EAGAIN) co_return result;
    if (!driver_waits_for_files())
        co_return co_await spawn_blocking([=]() noexcept { return file_calls::read(fd, buffer, offset); });
    std::int32_t result = 0;
    do result = co_await detail::file_read_awaiter{fd, buffer, offset};
    while (result == -ECANCELED && !sim::is_simulated(fd));  // the thread that had submitted it has ended: nothing was read
    co_return result;
}

task<std::int32_t> write_at(int fd, std::int64_t offset, const_buffer data) {
    if (driver_waits_for_files()) co_return co_await detail::file_write_awaiter{fd, data, offset};
    co_return co_await spawn_blocking([=]() noexcept { return file_calls::write(fd, data, offset); });
}

task<> write_rest_at(file& to, std::uint64_t offset, const_buffer data, std::size_t& transferred) {
    while (transferred < data.size()) transferred += co_await to.write_some_at(offset + transferred, data.subspan(transferred));
}

int open_flags(const file_options& options) {
    auto wrong = [](const char* what) { throw std::invalid_argument{std::string{"belay: file_options: "} + what}; };
    if (!options.read && !options.write) wrong("neither read nor write is set");
    if (options.exclusive && !options.create) wrong("exclusive says what create does, and create is not set");
    if (!options.write && (options.create || options.truncate || options.append))
        wrong("create, truncate and append are for files that are written to, and write is not set");
    int flags = options.write ? (options.read ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (options.create) flags |= O_CREAT;
    if (options.exclusive) flags |= O_EXCL;
    if (options.truncate) flags |= O_TRUNC;
    if (options.append) flags |= O_APPEND;
    return flags;
}

}  // namespace

task<file> file::open(std::string path, file_options options) {
    check_path("file::open", path);
    const int flags = open_flags(options);
    const int result = co_await spawn_blocking([&]() noexcept { return file_calls::open(path, flags, options.permissions); });
    if (result < 0) throw_file_error(-result, "file: open", path);
    co_return file{descriptor{result}, std::move(path)};
}

task<std::size_t> file::read_some_at(std::uint64_t offset, mutable_buffer buffer) {
    const std::int64_t at = signed_offset(offset, buffer.size(), "file: read", name_);
    const std::int32_t result = co_await read_at(native_handle(), at, buffer);
    if (result < 0) throw_file_error(-result, at_offset("file: read", offset), name_);
    co_return static_cast<std::size_t>(result);
}

task<> file::read_exact_at(std::uint64_t offset, mutable_buffer buffer) {
    for (std::size_t done = 0; done < buffer.size();) {
        const std::size_t bytes = co_await read_some_at(offset + done, buffer.subspan(done));
        if (bytes == 0)
            throw std::system_error{errc::end_of_stream, "belay: " + at_offset("file: read_exact_at", offset) + ' ' + name_};
        done += bytes;
    }
}

task<std::size_t> file::write_some_at(std::uint64_t offset, const_buffer data) {
    const std::int64_t at = signed_offset(offset, data.size(), "file: write", name_);
    const std::int32_t result = co_await write_at(native_handle(), at, data);
    if (result < 0) throw_file_error(-result, at_offset("file: write", offset), name_);
    co_return static_cast<std::size_t>(result);
}

task<> file::write_all_at(std::uint64_t offset, const_buffer data) {
    std::size_t ignored = 0;
    co_await write_all_at(offset, data, ignored);
}

task<> file::write_all_at(std::uint64_t offset, const_buffer data, std::size_t& transferred) {
    transferred = 0;  // at the call: the task that it makes may be stopped before it begins
    return write_rest_at(*this, offset, data, transferred);
}

task<> file::write_all_at(std::uint64_t offset, std::string_view text) { return write_all_at(offset, as_buffer(text)); }

task<> file::sync() {
    const int result = co_await spawn_blocking([fd = native_handle()]() noexcept { return file_calls::sync(fd, false); });
    if (result < 0) throw_file_error(-result, "file: sync", name_);
}

task<> file::sync_data() {
    const int result = co_await spawn_blocking([fd = native_handle()]() noexcept { return file_calls::sync(fd, true); });
    if (result < 0) throw_file_error(-result, "file: sync_data", name_);
}

task<std::uint64_t> file::size() {
    std::uint64_t bytes = 0;
    const int result = co_await spawn_blocking([&, fd = native_handle()]() noexcept { return file_calls::size(fd, bytes); });
    if (result < 0) throw_file_error(-result, "file: size", name_);
    co_return bytes;
}

task<> file::resize(std::uint64_t bytes) {
    static_cast<void>(signed_offset(bytes, 0, "file: resize", name_));
    const int result = co_await spawn_blocking([=, fd = native_handle()]() noexcept { return file_calls::resize(fd, bytes); });
    if (result < 0) throw_file_error(-result, "file: resize to " + std::to_string(bytes), name_);
}

task<> file::close() {
    if (!is_open()) throw_file_error(EBADF, "file: close", name_);
    // The function owns it: if it does not come to run, its end closes the file.
    const int result =
        co_await spawn_blocking([owned = std::move(file_)]() mutable noexcept { return file_calls::close(owned.release()); });
    if (result < 0) throw_file_error(-result, "file: close", name_);
}

}  // namespace belay::io
