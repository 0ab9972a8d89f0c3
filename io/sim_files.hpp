// The disks of a simulation: files in memory that may be slow, full or broken, and that forget what was not synced when their machine
// crashes.
//
//     auto& files = io::sim_files::of(sim);
//     files.add_disk("/db", {.latency = 1ms, .host = "10.0.0.1"});
//     sim.block_on(program());                    // io::file, read_file, replace_file and so on, unchanged
//     files.crash("/db");                         // power off: each unsynced write is there, not there, or torn
//     files.restart("/db");
//
// Inside a simulation every file that io::file opens is one of these; other functions (std::ifstream) see the machine's own. A path
// without a leading slash begins at "/". There are "/" and "/tmp", what leads to a disk, and what create_directory() makes; who
// makes a file needs its directory. There are no links, no permissions, and no files of more than a GiB (EFBIG). A directory cannot
// be renamed (EINVAL), and its size is 0. A Unix socket that is bound to a path is there, too.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace belay {
class simulation;
}

namespace belay::io {

namespace sim {
class disks;
class network;
}  // namespace sim

struct disk_options {
    std::chrono::nanoseconds latency{0};  ///< of each read and write; what else asks a disk is as fast as the blocking pool
    std::chrono::nanoseconds jitter{0};  ///< at most so much more, by the seed
    std::uint64_t capacity = 0;  ///< bytes that its files hold together; more is ENOSPC. 0: no limit
    std::string host{"127.0.0.1"};  ///< whose it is: sim_network::crash() of that host crashes it, too
};

/// What goes wrong by the seed: one operation in so many. 0: none. As in fault_options, each is a choice of the schedule.
struct file_fault_options {
    std::uint32_t short_transfer = 4;  ///< a read or write that moves less than it could
    std::uint32_t read_error = 0;  ///< EIO
    std::uint32_t write_error = 0;  ///< EIO, and nothing was written
    std::uint32_t no_space = 0;  ///< ENOSPC, and nothing was written
    std::uint32_t sync_error = 0;  ///< EIO, and what was not synced is lost at the next crash, whatever later syncs say
    std::uint32_t no_descriptor = 0;  ///< an open for which the process has no descriptor (EMFILE)
};

/// What can be made to fail by script; reads and writes by sim_network::fail_next(io_opcode::read, ...).
enum class file_call : std::uint8_t { open, sync, size, resize, rename, remove, create_directory, sync_directory };

/// How a disk forgets
/// - sync() and sync_data() keep the bytes of a file, and nothing keeps its name but sync_directory().
/// - Of what was written or cut off since then, in its order, a crash keeps each with a probability of one half, and of a write perhaps
///   only its first sectors of 512 bytes.
/// - Of names that were made, renamed and removed and not synced, a crash keeps the first few: names never change their order, as with
///   a journal. sync_directory() of any directory of the disk keeps those that came before on that disk.
/// Both are choices of the schedule; where nothing is chosen, all is lost.
///
/// Belongs to its simulation, and is used on its thread. Throws std::invalid_argument for a path that is none.
class sim_files {
public:
    static sim_files& of(simulation& sim);
    sim_files(const sim_files&) = delete;
    sim_files& operator=(const sim_files&) = delete;

    void set_faults(const file_fault_options& faults) noexcept;
    /// Of the disk "/", on which everything is that is not below another disk.
    void set_disk(const disk_options& options);
    /// A disk of its own, with a directory at its root that is there after each crash. Throws std::invalid_argument, as set_disk() does,
    /// for a time that is negative and a host that is no address of one machine.
    void add_disk(std::string_view path, const disk_options& options);
    /// The next such call, of whatever file, ends with this error and does nothing; but a sync that fails is as with sync_error. Several
    /// calls line up.
    void fail_next(file_call call, int error);

    /// The disk loses its power: operations in flight, and all later ones, end with EIO, also those of files that are open.
    void crash(std::string_view disk);
    /// It is there again. Files that were open when it crashed remain broken.
    void restart(std::string_view disk);

    // ---- what a test looks at, without a simulated system call ---------------------------------------------------
    [[nodiscard]] bool exists(std::string_view path) const;
    /// Of a file; what a program would read. Throws std::invalid_argument when there is none.
    [[nodiscard]] std::string contents(std::string_view path) const;
    /// A file that survives whatever comes, made if it is not there; its directories too. What was done to names on this disk before is
    /// synced by it.
    void put(std::string_view path, std::string contents);
    [[nodiscard]] std::size_t open_files() const noexcept;

private:
    friend class sim::disks;
    explicit sim_files(sim::disks& d) noexcept : disks_{d} {}
    sim::disks& disks_;
};

}  // namespace belay::io
