#include <belay/io/sim/disks.hpp>

#include <belay/io/sim/network.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace belay::io::sim {
namespace {

constexpr std::size_t sector = 512;
constexpr std::size_t longest_name = 255;  // as in Linux
constexpr std::size_t longest_path = 4096;  // with its zero

bool is_below(std::string_view path, std::string_view directory) {
    if (directory == "/" || path == directory) return true;
    return path.starts_with(directory) && path[directory.size()] == '/';
}

}  // namespace

// ---- names ---------------------------------------------------------------------------------------------------

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

std::shared_ptr<inode> make_directory() {
    auto made = std::make_shared<inode>();
    made->is_directory = true;
    return made;
}

inode* find_in(const name_table& names, std::string_view path) {
    auto found = names.find(path);
    return found != names.end() ? found->second.get() : nullptr;
}

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
    check_delay("disk_options::latency", options.latency);
    check_delay("disk_options::jitter", options.jitter);
    disk_options checked = options;
    checked.host = host_of(options.host);
    auto [added, is_new] = disks_.try_emplace(normal(path));
    disk& fresh = added->second;
    fresh.options = std::move(checked);
    if (!is_new) return;
    fresh.now[added->first] = fresh.durable[added->first] = make_directory();
    for (auto& [where, on] : disks_) make_way_to(where);
}

/// A disk can be got at, although it may be on another one.
void disks::make_way_to(const std::string& path) {
    for (std::string up = path; up != "/";) {
        up = parent_of(up);
        disk& on = disk_of(up);
        if (find_in(on.now, up) == nullptr) on.now[up] = on.durable[up] = make_directory();
    }
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

/// What the kernel finds on its way to the last part of a path, which need not be there: 0, or -errno.
int disks::walk(std::string_view path) const {
    if (path.empty()) return -ENOENT;
    if (path.size() >= longest_path) return -ENAMETOOLONG;
    std::string at = "/";
    for (std::size_t begin = 0, end = 0; begin < path.size(); begin = end + 1) {
        end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty()) continue;
        const inode* directory = find(at);
        if (directory == nullptr || !directory->is_directory) return directory == nullptr ? -ENOENT : -ENOTDIR;
        if (part.size() > longest_name) return -ENAMETOOLONG;
        at = normal((at += '/') += part);
    }
    return 0;
}

void disks::put(std::string_view path, std::string contents) {
    const bool is_directory = path.ends_with("/.");
    const std::string where = normal(path);
    disk& on = disk_of(where);
    // What came before lasts, too: it could undo this otherwise.
    for (const auto& change : std::exchange(on.unsynced, {})) change.apply(on.durable);
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

}  // namespace belay::io::sim
