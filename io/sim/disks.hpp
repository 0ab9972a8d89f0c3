// The files of a simulation.
#pragma once

#include <belay/io/sim_files.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/driver.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace belay::io::sim {

class network;
/// Throws std::invalid_argument when it is negative.
void check_delay(const char* field, std::chrono::nanoseconds delay);
using belay::detail::io_operation;

/// A file or directory, whatever its names are. Of an open file also when it has none any more.
struct inode {
    bool is_directory = false;
    int socket = -1;  // that was bound to this name; open or not
    std::string now{};      // what a program reads
    std::string durable{};  // what is on the disk for sure
    /// Since then.
    struct change {
        std::optional<std::uint64_t> resized{};  // to so many bytes
        std::uint64_t offset = 0;
        std::string bytes{};
        void apply(std::string& to) const;
    };
    std::vector<change> unsynced{};
    void make(change what);
};

using name_table = std::map<std::string, std::shared_ptr<inode>, std::less<>>;  // by normal path
/// Absolute, with neither "." nor ".." nor a slash too many.
std::string normal(std::string_view path);
/// Of a normal path.
std::string parent_of(const std::string& path);
inode* find_in(const name_table& names, std::string_view path);
std::shared_ptr<inode> make_directory();

struct disk {
    disk_options options{};
    bool crashed = false;
    std::uint64_t life = 0;  // how often it has crashed: what was open before is broken
    name_table now{};
    name_table durable{};
    /// Of names, in the order in which they came.
    struct change {
        std::string gone{};  // a name that goes, if it is not empty
        std::string path{};  // a name that is from now on that of `node`, if there is one
        std::shared_ptr<inode> node{};
        void apply(name_table& to) const;
    };
    std::vector<change> unsynced{};
    void make(change what);
    [[nodiscard]] std::uint64_t bytes() const noexcept;
};

struct open_file {
    disk* on = nullptr;
    std::uint64_t life = 0;
    std::shared_ptr<inode> node{};
    int flags = 0;
    [[nodiscard]] bool broken() const noexcept { return on->crashed || on->life != life; }
};

class disks {
public:
    disks(network& net, belay::detail::simulator& sim);
    disks(const disks&) = delete;
    disks& operator=(const disks&) = delete;

    // ---- system calls: a result, or -errno ---------------------------------------------------------------------
    int open(std::string_view path, int flags) noexcept;
    int sync(int fd) noexcept;
    int size(int fd, std::uint64_t& bytes) noexcept;
    int resize(int fd, std::uint64_t bytes) noexcept;
    int rename(std::string_view from, std::string_view to) noexcept;
    int remove(std::string_view path) noexcept;
    int create_directory(std::string_view path) noexcept;
    int sync_directory(std::string_view path) noexcept;
    /// The name of a Unix socket.
    int make_socket(std::string_view path, int fd) noexcept;
    [[nodiscard]] bool has(int fd) const noexcept { return open_.contains(fd); }
    int close(int fd) noexcept;

    // ---- operations of a port ----------------------------------------------------------------------------------
    void submit(io_operation& op);
    /// False: it is none of a file.
    bool cancel(io_operation& op);

    // ---- control -----------------------------------------------------------------------------------------------
    sim_files control{*this};
    file_fault_options faults;
    std::map<file_call, std::deque<int>> scripted;
    /// The disk that is there. Throws std::invalid_argument when there is none.
    disk& at(std::string_view path);
    void add(std::string_view path, const disk_options& options);
    void put(std::string_view path, std::string contents);
    [[nodiscard]] const inode* find(std::string_view path) const;
    void crash(disk& which);
    void crash_host(const std::string& host);
    void restart_host(const std::string& host);
    [[nodiscard]] std::size_t open_files() const noexcept { return open_.size(); }

private:
    int scripted_error(file_call call);
    disk& disk_of(std::string_view path);
    void make_way_to(const std::string& path);
    [[nodiscard]] int walk(std::string_view path) const;
    void transfer(std::uint64_t number);
    std::int32_t read(const open_file& from, const io_operation& op);
    std::int32_t write(const open_file& to, const io_operation& op);

    network& network_;
    belay::detail::simulator& sim_;
    std::map<std::string, disk, std::greater<>> disks_;  // by where they are; the longest path that fits comes first
    std::map<int, open_file> open_;
    std::map<std::uint64_t, io_operation*> in_flight_;
    std::uint64_t next_number_ = 1;
};

}  // namespace belay::io::sim
