#include <belay/io/descriptor.hpp>
#include <belay/io/detail/socket_calls.hpp>

#include <cerrno>

namespace belay::io {

void descriptor::close() noexcept {
    if (fd_ < 0) return;
    const int saved = errno;  // destructors run while an error is on its way to its message
    // Not repeated on EINTR: on Linux the number is free already and may belong to another thread's file.
    detail::socket_calls::close(std::exchange(fd_, -1));
    errno = saved;
}

}  // namespace belay::io
