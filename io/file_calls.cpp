#include <belay/io/descriptor.hpp>
#include <belay/io/detail/file_calls.hpp>
#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/sim/network.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace belay::io::detail {
namespace {

int result_of(int result) noexcept { return result >= 0 ? result : -errno; }

/// The disks that this thread's files are on; null: the kernel's.
sim::disks* simulated() noexcept {
    sim::network* net = sim::network::current();
    return net != nullptr ? &net->files : nullptr;
}

sim::disks* simulated(int fd) noexcept { return fd >= sim::first_descriptor ? simulated() : nullptr; }

}  // namespace

int file_calls::open(const std::string& path, int flags, unsigned permissions) noexcept {
    if (sim::disks* disks = simulated()) return disks->open(path, flags);
    return result_of(::open(path.c_str(), flags | O_CLOEXEC, permissions));
}

int file_calls::sync(int fd, bool data_only) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->sync(fd);
    return result_of(data_only ? ::fdatasync(fd) : ::fsync(fd));
}

int file_calls::size(int fd, std::uint64_t& bytes) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->size(fd, bytes);
    struct stat info{};
    const int result = result_of(::fstat(fd, &info));
    if (result == 0) bytes = static_cast<std::uint64_t>(info.st_size);
    return result;
}

int file_calls::resize(int fd, std::uint64_t bytes) noexcept {
    if (sim::disks* disks = simulated(fd)) return disks->resize(fd, bytes);
    return result_of(::ftruncate(fd, static_cast<off_t>(bytes)));
}

int file_calls::close(int fd) noexcept { return result_of(socket_calls::close(fd)); }

int file_calls::rename(const std::string& from, const std::string& to) noexcept {
    if (sim::disks* disks = simulated()) return disks->rename(from, to);
    return result_of(::rename(from.c_str(), to.c_str()));
}

int file_calls::remove(const std::string& path) noexcept {
    if (sim::disks* disks = simulated()) return disks->remove(path);
    return result_of(::unlink(path.c_str()));
}

int file_calls::create_directory(const std::string& path, unsigned permissions) noexcept {
    if (sim::disks* disks = simulated()) return disks->create_directory(path);
    return result_of(::mkdir(path.c_str(), permissions));
}

int file_calls::sync_directory(const std::string& path) noexcept {
    if (sim::disks* disks = simulated()) return disks->sync_directory(path);
    const descriptor directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory.is_open()) return -errno;
    return result_of(::fsync(directory.native_handle()));
}

}  // namespace belay::io::detail
