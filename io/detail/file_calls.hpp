// The system calls on files that may wait for a disk: the kernel's, or on a thread that has a simulation those of its disks.
#pragma once

#include <belay/io/buffer.hpp>

#include <cstdint>
#include <string>

namespace belay::io::detail {

/// A result, or -errno. They block: off the workers only. Reads and writes of simulated files go through the driver instead.
struct file_calls {
    static int open(const std::string& path, int flags, unsigned permissions) noexcept;
    static int read(int fd, mutable_buffer buffer, std::int64_t offset) noexcept;
    static int write(int fd, const_buffer data, std::int64_t offset) noexcept;
    static int sync(int fd, bool data_only) noexcept;
    static int size(int fd, std::uint64_t& bytes) noexcept;
    static int resize(int fd, std::uint64_t bytes) noexcept;
    static int close(int fd) noexcept;
    static int rename(const std::string& from, const std::string& to) noexcept;
    static int remove(const std::string& path) noexcept;
    static int create_directory(const std::string& path, unsigned permissions) noexcept;
    static int sync_directory(const std::string& path) noexcept;
};

}  // namespace belay::io::detail
