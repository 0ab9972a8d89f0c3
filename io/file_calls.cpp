#include <belay/io/descriptor.hpp>
#include <belay/io/detail/file_calls.hpp>
#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/sim/network.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>

namespace belay::io::detail {
namespace {

constexpr std::size_t most = 0x7fff'f000;  // of one call, on Linux

/// Repeats a call that a signal interrupted.
template <class Call>
int result_of(Call call) noexcept {
    for (;;) {
        const auto result = call();
        if (result >= 0) return static_cast<int>(result);
        if (errno != EINTR) return -errno;
    }
}

/// The disks that this thread's files are on; null: the kernel's.
sim::disks* simulated() noexcept {
    sim::network* net = sim::network::current();
    return net != nullptr ? &net->files : nullptr;
}

sim::disks* simulated(int fd) noexcept { return sim::is_simulated(fd) ? simulated() : nullptr; }

}  // namespace

int file_calls::open(const std::string& path, int flags, unsigned permissions) noexcept {
    if (sim::disks* disks = simulated()) return disks->open(path, flags);
    const int fd = result_of([&] { return ::open(path.c_str(), flags | O_CLOEXEC, permissions); });
    if (fd < 0) return fd;
    // What has no offsets would fail in other ways with each driver, and a write to it may raise SIGPIPE.
    struct stat info{};
    if (::fstat(fd, &info) == 0 && !S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode)) return fd;
    ::close(fd);
    return -ESPIPE;
}

int file_calls::read(int fd, mutable_buffer buffer, std::int64_t offset) noexcept {
    return result_of([=] { return ::pread(fd, buffer.data(), std::min(buffer.size(), most), offset); });
}

int file_calls::write(int fd, const_buffer data, std::int64_t offset) noexcept {
    return result_of([=] { return ::pwrite(fd, data.data(), std::min(data.size(), most), offset); });
}

int file_calls::sync(int fd, bool data_only) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->sync(fd);
    return result_of([=] { return data_only ? ::fdatasync(fd) : ::fsync(fd); });
}

int file_calls::size(int fd, std::uint64_t& bytes) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->size(fd, bytes);
    struct stat info{};
    const int result = result_of([&] { return ::fstat(fd, &info); });
    if (result == 0) bytes = static_cast<std::uint64_t>(info.st_size);
    return result;
}

int file_calls::resize(int fd, std::uint64_t bytes) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->resize(fd, bytes);
    return result_of([=] { return ::ftruncate(fd, static_cast<off_t>(bytes)); });
}

int file_calls::close(int fd) noexcept {
    // Interrupted, it is closed all the same, and its number may be another file's already.
    return socket_calls::close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

int file_calls::rename(const std::string& from, const std::string& to) noexcept {
    if (sim::disks* disks = simulated()) return disks->rename(from, to);
    return result_of([&] { return ::rename(from.c_str(), to.c_str()); });
}

int file_calls::remove(const std::string& path) noexcept {
    if (sim::disks* disks = simulated()) return disks->remove(path);
    return result_of([&] { return ::unlink(path.c_str()); });
}

int file_calls::create_directory(const std::string& path, unsigned permissions) noexcept {
    if (sim::disks* disks = simulated()) return disks->create_directory(path);
    return result_of([&] { return ::mkdir(path.c_str(), permissions); });
}

int file_calls::sync_directory(const std::string& path) noexcept {
    if (sim::disks* disks = simulated()) return disks->sync_directory(path);
    const descriptor directory{result_of([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })};
    if (!directory.is_open()) return -errno;
    return result_of([&] { return ::fsync(directory.native_handle()); });
}

}  // namespace belay::io::detail
