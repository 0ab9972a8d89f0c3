// read(2) and write(2), for what is no socket: pipes, and files where the driver waits for them.
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/detail/io_awaiter.hpp>

#include <cstddef>
#include <cstdint>

namespace belay::io::detail {

/// A read or write at an offset, or where the descriptor stands: bytes, or -errno.
class transfer_awaiter : public io_awaiter {
public:
    std::int32_t await_resume() const noexcept { return result; }

protected:
    static constexpr std::int64_t no_offset = -1;
    transfer_awaiter(int fd, mutable_buffer buffer, std::int64_t offset) noexcept {
        request.opcode = buffer.empty() ? io_opcode::nop : io_opcode::read;
        request.fd = fd;
        request.buffer = buffer.data();
        request.length = buffer.size();
        request.offset = offset;
    }
    transfer_awaiter(int fd, const_buffer data, std::int64_t offset) noexcept {
        request.opcode = data.empty() ? io_opcode::nop : io_opcode::write;
        request.fd = fd;
        request.buffer = const_cast<std::byte*>(data.data());  // one field for both ways; a write only reads it
        request.length = data.size();
        request.offset = offset;
    }
    ~transfer_awaiter() = default;
};

class pipe_read_awaiter final : public transfer_awaiter {
public:
    pipe_read_awaiter(int fd, mutable_buffer buffer) noexcept : transfer_awaiter{fd, buffer, no_offset} {}
    [[nodiscard]] const char* what() const noexcept override { return "pipe.read"; }
};

class pipe_write_awaiter final : public transfer_awaiter {
public:
    pipe_write_awaiter(int fd, const_buffer data) noexcept : transfer_awaiter{fd, data, no_offset} {}
    [[nodiscard]] const char* what() const noexcept override { return "pipe.write"; }
};

class file_read_awaiter final : public transfer_awaiter {
public:
    file_read_awaiter(int fd, mutable_buffer buffer, std::int64_t offset) noexcept : transfer_awaiter{fd, buffer, offset} {}
    [[nodiscard]] const char* what() const noexcept override { return "file.read"; }
};

class file_write_awaiter final : public transfer_awaiter {
public:
    file_write_awaiter(int fd, const_buffer data, std::int64_t offset) noexcept : transfer_awaiter{fd, data, offset} {}
    [[nodiscard]] const char* what() const noexcept override { return "file.write"; }
};

}  // namespace belay::io::detail
