#include <belay/io/sim/disks.hpp>

#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace belay::io::sim {
namespace {

constexpr std::size_t sector = 512;
constexpr std::size_t most_bytes = 0x7fff'f000;

/// Absolute, with neither "." nor ".." nor a slash too many.
std::string normal(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        auto slash = std::min(path.find('/'), path.size());
        auto part = path.substr(0, slash);
        path.remove_prefix(std::min(slash + 1, path.size()));
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
    std::string all;
    for (auto part : parts) (all += '/') += part;
    return all.empty() ? "/" : all;
}

std::string parent_of(const std::string& path) { return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)); }

bool is_below(std::string_view path, std::string_view directory) {
    if (directory == "/" || path == directory) return true;
    return path.starts_with(directory) && path[directory.size()] == '/';
}

std::shared_ptr<inode> make_directory() {
    auto made = std::make_shared<inode>();
    made->is_directory = true;
    return made;
}

inode* find_in(const name_table& names, std::string_view path) {
    auto found = names.find(path);
    return found != names.end() ? found->second.get() : nullptr;
}

/// Whether a name can be made there: 0, or -errno.
int directory_for(const disk& on, const std::string& path) {
    const inode* directory = find_in(on.now, parent_of(path));
    return directory == nullptr ? -ENOENT : directory->is_directory ? 0 : -ENOTDIR;
}

bool readable(int flags) noexcept { return (flags & O_ACCMODE) != O_WRONLY; }
bool writable(int flags) noexcept { return (flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

// ---- what there is, and what is known to last ------------------------------------------------------------------

void inode::change::apply(std::string& to) const {
    if (resized) return to.resize(static_cast<std::size_t>(*resized));
    auto at = static_cast<std::size_t>(offset);
    if (to.size() < at + bytes.size()) to.resize(at + bytes.size());
    to.replace(at, bytes.size(), bytes);
}

void inode::make(change what) {
    what.apply(now);
    unsynced.push_back(std::move(what));
}

void disk::change::apply(name_table& to) const {
    if (!gone.empty()) to.erase(gone);
    if (node != nullptr) to[path] = node;
}

void disk::make(change what) {
    what.apply(now);
    unsynced.push_back(std::move(what));
}

std::uint64_t disk::bytes() const noexcept {
    std::uint64_t all = 0;
    for (const auto& [path, node] : now) all += node->now.size();
    return all;
}

disks::disks(network& net, belay::detail::simulator& sim) : network_{net}, sim_{sim} {
    add("/", {});
    put("/tmp/.", "");
}

void disks::add(std::string_view path, const disk_options& options) {
    auto [added, is_new] = disks_.try_emplace(normal(path));
    disk& fresh = added->second;
    fresh.options = options;
    if (!is_new) return;
    fresh.now[added->first] = fresh.durable[added->first] = make_directory();
}

disk& disks::disk_of(std::string_view path) {
    return std::ranges::find_if(disks_, [&](const auto& entry) { return is_below(path, entry.first); })->second;
}

disk& disks::at(std::string_view path) {
    auto found = disks_.find(normal(path));
    if (found == disks_.end())
        throw std::invalid_argument("belay: sim_files: there is no disk at " + std::string{path} + "; add_disk() makes one");
    return found->second;
}

const inode* disks::find(std::string_view path) const {
    const std::string where = normal(path);
    auto on = std::ranges::find_if(disks_, [&](const auto& entry) { return is_below(where, entry.first); });
    return find_in(on->second.now, where);
}

void disks::put(std::string_view path, std::string contents) {
    const bool is_directory = path.ends_with("/.");
    const std::string where = normal(path);
    disk& on = disk_of(where);
    for (std::string up = where; find_in(on.now, up) == nullptr; up = parent_of(up))
        on.now[up] = on.durable[up] = up == where && !is_directory ? std::make_shared<inode>() : make_directory();
    inode& node = *on.now[where];
    if (is_directory) return;
    node.now = node.durable = std::move(contents);
    node.unsynced.clear();
}

void disks::crash(disk& which) {
    which.crashed = true;
    ++which.life;
    auto kept = sim_.draw(static_cast<std::uint32_t>(which.unsynced.size() + 1));
    for (std::size_t i = 0; i < kept; ++i) which.unsynced[i].apply(which.durable);
    which.unsynced.clear();
    which.now = which.durable;
    for (auto& [path, node] : which.now) {
        for (auto& change : std::exchange(node->unsynced, {})) {
            auto fate = sim_.choose(3, 2);
            if (fate == 0) continue;  // lost
            if (fate == 2 && change.bytes.size() > sector) {  // torn
                auto sectors = static_cast<std::uint32_t>((change.bytes.size() - 1) / sector);
                change.bytes.resize((1 + sim_.draw(sectors)) * sector);
            }
            change.apply(node->durable);
        }
        node->now = node->durable;
    }
}

void disks::crash_host(const std::string& host) {
    for (auto& [path, d] : disks_)
        if (d.options.host == host) crash(d);
}

void disks::restart_host(const std::string& host) {
    for (auto& [path, d] : disks_)
        if (d.options.host == host) d.crashed = false;
}

// ---- system calls ----------------------------------------------------------------------------------------------

int disks::scripted_error(file_call call) {
    auto& errors = scripted[call];
    if (errors.empty()) return 0;
    int error = errors.front();
    errors.pop_front();
    return -error;
}

int disks::open(std::string_view given, int flags) noexcept {
    if (given.empty()) return -ENOENT;
    const std::string path = normal(given);
    disk& on = disk_of(path);
    if (int error = scripted_error(file_call::open)) return error;
    if (on.crashed) return -EIO;
    if (network_.injected(faults.no_descriptor)) return -EMFILE;
    inode* found = find_in(on.now, path);
    if (found == nullptr) {
        if ((flags & O_CREAT) == 0) return -ENOENT;
        if (int error = directory_for(on, path)) return error;
        on.make({.path = path, .node = std::make_shared<inode>()});
    } else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        return -EEXIST;
    } else if (found->is_directory && writable(flags)) {
        return -EISDIR;
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
    const std::uint64_t capacity = f.on->options.capacity;
    if (capacity != 0 && bytes > f.node->now.size() && f.on->bytes() + bytes - f.node->now.size() > capacity) return -ENOSPC;
    f.node->make({.resized = bytes});
    return 0;
}

int disks::rename(std::string_view from, std::string_view to) noexcept {
    if (from.empty() || to.empty()) return -ENOENT;
    const std::string before = normal(from);
    const std::string after = normal(to);
    disk& on = disk_of(before);
    if (int error = scripted_error(file_call::rename)) return error;
    if (&on != &disk_of(after)) return -EXDEV;
    if (on.crashed) return -EIO;
    const inode* moved = find_in(on.now, before);
    if (moved == nullptr) return -ENOENT;
    if (moved->is_directory) return -EINVAL;  // what is below it would have to move, too: not simulated
    if (int error = directory_for(on, after)) return error;
    const inode* replaced = find_in(on.now, after);
    if (replaced != nullptr && replaced->is_directory) return -EISDIR;
    if (before != after) on.make({.gone = before, .path = after, .node = on.now[before]});
    return 0;
}

int disks::remove(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::remove)) return error;
    if (on.crashed) return -EIO;
    const inode* found = find_in(on.now, where);
    if (found == nullptr) return -ENOENT;
    if (found->is_directory) return -EISDIR;
    on.make({.gone = where});
    return 0;
}

int disks::create_directory(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::create_directory)) return error;
    if (on.crashed) return -EIO;
    if (find_in(on.now, where) != nullptr) return -EEXIST;
    if (int error = directory_for(on, where)) return error;
    on.make({.path = where, .node = make_directory()});
    return 0;
}

int disks::sync_directory(std::string_view path) noexcept {
    const std::string where = normal(path);
    disk& on = disk_of(where);
    if (int error = scripted_error(file_call::sync_directory)) return error;
    if (on.crashed) return -EIO;
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
    auto jitter = static_cast<std::uint32_t>(std::clamp<std::int64_t>(options.jitter.count(), 0, UINT32_MAX - 1));
    op.driver_word = next_number_++;
    in_flight_[op.driver_word] = &op;
    network_.at(sim_.clock().now_ns + options.latency.count() + sim_.draw(jitter + 1), "disk",
                [this, number = op.driver_word] { transfer(number); });
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
    const std::string& data = from.node->now;
    auto offset = static_cast<std::size_t>(std::max<std::int64_t>(request.offset, 0));
    if (offset >= data.size()) return 0;
    std::size_t bytes = std::min({request.length, data.size() - offset, most_bytes});
    bytes = network_.perhaps_fewer(bytes, faults.short_transfer);
    std::memcpy(request.buffer, data.data() + offset, bytes);
    return static_cast<std::int32_t>(bytes);
}

std::int32_t disks::write(const open_file& to, const io_operation& op) {
    const io_request& request = op.request;
    if (to.broken() || network_.injected(faults.write_error)) return -EIO;
    if (!writable(to.flags)) return -EBADF;
    if (network_.injected(faults.no_space)) return -ENOSPC;
    std::string& data = to.node->now;
    const bool appends = (to.flags & O_APPEND) != 0;
    const std::size_t offset = appends ? data.size() : static_cast<std::size_t>(std::max<std::int64_t>(request.offset, 0));
    std::size_t bytes = network_.perhaps_fewer(std::min(request.length, most_bytes), faults.short_transfer);
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
