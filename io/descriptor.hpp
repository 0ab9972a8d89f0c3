// Owns one file descriptor. Everything of belay::io that has a descriptor keeps it in one of these.
//
//     io::descriptor log{::open("log", O_WRONLY | O_APPEND | O_CLOEXEC)};
//     ::write(log.native_handle(), line.data(), line.size());
#pragma once

#include <utility>

namespace belay::io {

/// Move-only owner of a file descriptor; the destructor closes it. Not thread-safe as an object: closing or moving must
/// not overlap with any other use.
///
/// Closing ends no operation: the kernel keeps the file open until the operation on it has completed, and a new file may
/// get the number. So close, destroy or move from the owner only when no operation on it is in flight: stop the tasks
/// that wait, then close. Structured code does that by itself, since the owner outlives the tasks that use it.
class descriptor {
public:
    descriptor() noexcept = default;
    /// Takes over `fd`; negative means none.
    explicit descriptor(int fd) noexcept : fd_{fd} {}
    descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    descriptor& operator=(descriptor&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~descriptor() { close(); }

    /// The number, still owned; -1 when there is none.
    [[nodiscard]] int native_handle() const noexcept { return fd_; }
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    /// Gives the descriptor away: the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// Closes it now; does nothing when there is none. Errors of close(2) are not reported: the number is gone either way.
    void close() noexcept;

private:
    int fd_ = -1;
};

}  // namespace belay::io
