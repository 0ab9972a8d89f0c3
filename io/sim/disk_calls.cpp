// What a program asks of its files.
#include <belay/io/sim/disks.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>
#include <belay/runtime/detail/deadline.hpp>

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace belay::io::sim {
namespace {

constexpr std::size_t largest_file = std::size_t{1} << 30;  // in memory: what is larger is a mistake, or not for a simulation

bool readable(int flags) noexcept { return (flags & O_ACCMODE) != O_WRONLY; }
bool writable(int flags) noexcept { return (flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

// ---- system calls ----------------------------------------------------------------------------------------------

int disks::scripted_error(file_call call) {
    auto& errors = scripted[call];
    if (errors.empty()) return 0;
    int error = errors.front();
    errors.pop_front();
    return -error;
}

int disks::open(std::string_view given, int flags) noexcept {
    const std::string path = normal(given);
    disk& on = disk_of(path);
    if (int error = scripted_error(file_call::open)) return error;
    if (on.crashed) return -EIO;
    if (network_.injected(faults.no_descriptor)) return -EMFILE;
    if (int error = walk(given)) return error;
    inode* found = find_in(on.now, path);
    if (found == nullptr) {
        if ((flags & O_CREAT) == 0) return -ENOENT;
        if (given.ends_with('/')) return -EISDIR;
        on.make({.path = path, .node = std::make_shared<inode>()});
    } else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        return -EEXIST;
    } else if (found->socket >= 0) {
        return -ENXIO;
    } else if (found->is_directory && writable(flags)) {
        return -EISDIR;
    } else if (!found->is_directory && given.ends_with('/')) {
        return -ENOTDIR;
    } else if ((flags & O_TRUNC) != 0 && !found->now.empty()) {
        found->make({.resized = 0});
    }
    int fd = network_.take_number();
    open_[fd] = {.on = &on, .life = on.life, .node = on.now[path], .flags = flags};
    return fd;
}

int disks::close(int fd) noexcept { return open_.erase(fd) != 0 ? 0 : -EBADF; }

int disks::sync(int fd) noexcept {
    auto found = open_.find(fd);
    if (found == open_.end()) return -EBADF;
    open_file& f = found->second;
    if (int error = scripted_error(file_call::sync)) {
        f.node->unsynced.clear();  // as Linux has it: those pages count as clean
        return error;
    }
    if (f.broken()) return -EIO;
    auto changes = std::exchange(f.node->unsynced, {});
    if (network_.injected(faults.sync_error)) return -EIO;
    for (const auto& change : changes) change.apply(f.node->durable);
    return 0;
}

int disks::size(int fd, std::uint64_t& bytes) noexcept {
    auto found = open_.find(fd);
    if (found == open_.end()) return -EBADF;
    if (int error = scripted_error(file_call::size)) return error;
    if (found->second.broken()) return -EIO;
    bytes = found->second.node->now.size();
    return 0;
}

int disks::resize(int fd, std::uint64_t bytes) noexcept {
    auto found = open_.find(fd);
    if (found == open_.end()) return -EBADF;
    open_file& f = found->second;
    if (int error = scripted_error(file_call::resize)) return error;
    if (f.broken()) return -EIO;
    if (!writable(f.flags)) return -EINVAL;
    if (bytes > largest_file) return -EFBIG;
    const std::uint64_t capacity = f.on->options.capacity;
    if (capacity != 0 && bytes > f.node->now.size() && f.on->bytes() + bytes - f.node->now.size() > capacity) return -ENOSPC;
    f.node->make({.resized = bytes});
    return 0;
}

int disks::rename(std::string_view from, std::string_view to) noexcept {
    const std::string before = normal(from);
    const std::string after = normal(to);
    disk& on = disk_of(before);
    if (int error = scripted_error(file_call::rename)) return error;
    if (&on != &disk_of(after)) return -EXDEV;
    if (on.crashed) return -EIO;
    if (int error = walk(from)) return error;
    const inode* moved = find_in(on.now, before);
    if (moved == nullptr) return -ENOENT;
    if (moved->is_directory) return -EINVAL;  // what is below it would have to move, too: not simulated
    if (from.ends_with('/')) return -ENOTDIR;
    if (int error = walk(to)) return error;
    const inode* replaced = find_in(on.now, after);
    if (replaced != nullptr && replaced->is_directory) return -EISDIR;
    if (to.ends_with('/')) return -ENOTDIR;
    if (before != after) on.make({.gone = before, .path = after, .node = on.now[before]});
    return 0;
}

int disks::remove(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::remove)) return error;
    if (on.crashed) return -EIO;
    if (int error = walk(path)) return error;
    const inode* found = find_in(on.now, where);
    if (found == nullptr) return -ENOENT;
    if (found->is_directory) return -EISDIR;
    if (path.ends_with('/')) return -ENOTDIR;
    on.make({.gone = where});
    return 0;
}

int disks::create_directory(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::create_directory)) return error;
    if (on.crashed) return -EIO;
    if (int error = walk(path)) return error;
    if (find_in(on.now, where) != nullptr) return -EEXIST;
    on.make({.path = where, .node = make_directory()});
    return 0;
}

int disks::make_socket(std::string_view path, int fd) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (on.crashed) return -EIO;
    if (int error = walk(path)) return error;
    if (find_in(on.now, where) != nullptr) return -EADDRINUSE;
    on.make({.path = where, .node = std::make_shared<inode>()});
    on.now[where]->socket = fd;
    return 0;
}

int disks::sync_directory(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::sync_directory)) return error;
    if (on.crashed) return -EIO;
    if (int error = walk(path)) return error;
    const inode* found = find_in(on.now, where);
    if (found == nullptr || !found->is_directory) return found == nullptr ? -ENOENT : -ENOTDIR;
    if (network_.injected(faults.sync_error)) return -EIO;
    for (const auto& change : std::exchange(on.unsynced, {})) change.apply(on.durable);
    return 0;
}

// ---- operations ------------------------------------------------------------------------------------------------

void disks::submit(io_operation& op) {
    auto& port = *static_cast<sim_port*>(op.driver_data);
    const io_request& request = op.request;
    const open_file& f = open_.at(request.fd);
    if (request.opcode == io_opcode::poll) return port.finish_later(op, request.flags & (POLLIN | POLLOUT));
    if (request.opcode != io_opcode::read && request.opcode != io_opcode::write) return port.finish_later(op, -ENOTSOCK);
    const disk_options& options = f.on->options;
    op.driver_word = next_number_++;
    in_flight_[op.driver_word] = &op;
    const std::int64_t done_ns = belay::detail::saturating_add(network_.after(options.latency), network_.drawn(options.jitter));
    network_.at(done_ns, "disk", [this, number = op.driver_word] { transfer(number); });
}

bool disks::cancel(io_operation& op) {
    if (!has(op.request.fd)) return false;
    auto found = in_flight_.find(op.driver_word);
    // A disk that has begun cannot be interrupted.
    if (found == in_flight_.end() || sim_.draw(2) != 0) return true;
    in_flight_.erase(found);
    static_cast<sim_port*>(op.driver_data)->finish_later(op, -ECANCELED);
    return true;
}

void disks::transfer(std::uint64_t number) {
    auto found = in_flight_.find(number);
    if (found == in_flight_.end()) return;  // it was cancelled
    io_operation& op = *found->second;
    in_flight_.erase(found);
    auto file = open_.find(op.request.fd);
    std::int32_t result = -EBADF;
    if (file != open_.end()) result = op.request.opcode == io_opcode::read ? read(file->second, op) : write(file->second, op);
    static_cast<sim_port*>(op.driver_data)->finish_later(op, result);
}

std::int32_t disks::read(const open_file& from, const io_operation& op) {
    const io_request& request = op.request;
    if (from.broken() || network_.injected(faults.read_error)) return -EIO;
    if (from.node->is_directory) return -EISDIR;
    if (!readable(from.flags)) return -EBADF;
    if (request.offset < 0) return -ESPIPE;  // where it stands is not simulated
    const std::string& data = from.node->now;
    const auto offset = static_cast<std::size_t>(request.offset);
    if (offset >= data.size()) return 0;
    std::size_t bytes = std::min(request.length, data.size() - offset);
    bytes = network_.perhaps_fewer(bytes, faults.short_transfer);
    std::memcpy(request.buffer, data.data() + offset, bytes);
    return static_cast<std::int32_t>(bytes);
}

std::int32_t disks::write(const open_file& to, const io_operation& op) {
    const io_request& request = op.request;
    if (to.broken() || network_.injected(faults.write_error)) return -EIO;
    if (!writable(to.flags)) return -EBADF;
    if (request.offset < 0) return -ESPIPE;
    if (network_.injected(faults.no_space)) return -ENOSPC;
    const std::string& data = to.node->now;
    const bool appends = (to.flags & O_APPEND) != 0;
    const std::size_t offset = appends ? data.size() : static_cast<std::size_t>(request.offset);
    if (offset >= largest_file) return -EFBIG;
    std::size_t bytes = network_.perhaps_fewer(std::min(request.length, largest_file - offset), faults.short_transfer);
    if (to.on->options.capacity != 0) {
        const std::uint64_t used = to.on->bytes();
        const std::uint64_t last = data.size() + (to.on->options.capacity - std::min(to.on->options.capacity, used));
        if (offset >= last) return -ENOSPC;
        bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, last - offset));
    }
    to.node->make({.resized = std::nullopt, .offset = offset, .bytes = {static_cast<const char*>(request.buffer), bytes}});
    return static_cast<std::int32_t>(bytes);
}

}  // namespace belay::io::sim
