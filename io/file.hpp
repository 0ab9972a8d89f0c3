// Files: reading and writing at an offset, and making sure that it lasts.
//
//     auto log = co_await io::file::open("journal", {.write = true, .create = true});
//     co_await log.write_all_at(end, record);
//     co_await log.sync();                                  // only now does it survive a loss of power
//     co_await log.close();                                 // tells what close(2) says
//
//     std::string settings = co_await io::read_file("settings.json");
//     co_await io::replace_file("settings.json", changed);  // the old or the new contents, whatever happens meanwhile
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/descriptor.hpp>
#include <belay/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace belay::io {

struct file_options {
    bool read = true;
    bool write = false;
    bool create = false;     ///< make the file if there is none
    bool exclusive = false;  ///< with create: EEXIST if there is one
    bool truncate = false;   ///< what it had is gone
    bool append = false;     ///< every write goes to the end, wherever it says
    unsigned permissions = 0666;  ///< of a new file; the process's umask takes its part away
};

/// Contract
/// - Move-only owner of the open file; the destructor closes it. Neither close, destroy nor move it while an operation on it is in
///   flight (see descriptor).
/// - Any number of reads and writes at a time, from any workers: each has its own offset. What overlapping ones do to each other is
///   the kernel's affair.
/// - No worker waits for a disk. Small reads of what the kernel has in memory are done at once; others go through the ring, or with
///   the Asio driver to the runtime's blocking pool, as everything does that is neither read nor write. So they may also fail as
///   spawn_blocking does, when the pool is closed.
/// - On stop: what has not begun does not happen. What has begun is waited for, since a disk cannot be interrupted, and its
///   result is delivered.
/// - Buffers are the caller's and stay alive and untouched until the operation has ended.
/// - Errors are std::system_error with the errno, and name the operation, the offset and the path.
/// - What was written is lost with the power, or with the machine, until sync() has returned; and so is the name of a new file
///   until sync_directory() has.
class file {
public:
    /// Open to nothing; every operation ends with EBADF.
    file() noexcept = default;
    /// Takes over an open file, which must not be O_NONBLOCK; `name` is for messages.
    explicit file(descriptor opened, std::string name = {}) noexcept : file_{std::move(opened)}, name_{std::move(name)} {}

    /// Throws std::invalid_argument for options that contradict each other and for a path with a zero byte. ESPIPE for a FIFO or socket,
    /// which have no offsets: for those there is pipe_reader.
    [[nodiscard]] static task<file> open(std::string path, file_options options = {});

    /// Reads at most buffer.size() bytes from there. 0 is the end of the file, or an empty buffer.
    [[nodiscard]] task<std::size_t> read_some_at(std::uint64_t offset, mutable_buffer buffer);
    /// Fills the whole buffer. Throws std::system_error with errc::end_of_stream when the file ends before that.
    [[nodiscard]] task<> read_exact_at(std::uint64_t offset, mutable_buffer buffer);
    /// Writes at least one byte unless `data` is empty, and returns how many.
    [[nodiscard]] task<std::size_t> write_some_at(std::uint64_t offset, const_buffer data);
    /// Writes all of it. On stop, and on an error (ENOSPC): `transferred` bytes were written.
    [[nodiscard]] task<> write_all_at(std::uint64_t offset, const_buffer data);
    [[nodiscard]] task<> write_all_at(std::uint64_t offset, const_buffer data, std::size_t& transferred);
    [[nodiscard]] task<> write_all_at(std::uint64_t offset, std::string_view text);

    /// Returns once all that was written to the file before is on the disk. An error (EIO, ENOSPC) means that some of it is not, and
    /// on Linux that another sync() will not say so again: write it anew, or give up.
    [[nodiscard]] task<> sync();
    /// The same without what only concerns times and permissions, which costs less.
    [[nodiscard]] task<> sync_data();
    [[nodiscard]] task<std::uint64_t> size();
    /// Cuts the file off there, or extends it with zeros.
    [[nodiscard]] task<> resize(std::uint64_t bytes);

    /// Closes it, off the workers, and tells what close(2) says, which on some network file systems is when writes fail. Closed in
    /// any case, also on stop. EBADF if it is closed already.
    [[nodiscard]] task<> close();
    [[nodiscard]] bool is_open() const noexcept { return file_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return file_.native_handle(); }
    /// As given to open().
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] descriptor release() noexcept { return std::move(file_); }

private:
    descriptor file_;
    std::string name_;
};

/// All that the file holds, if that is at most `limit` bytes; else std::system_error with EFBIG. For regular files, and for those of
/// /proc and /sys, which do not know their size.
[[nodiscard]] task<std::string> read_file(std::string path, std::size_t limit = std::size_t{64} << 20);
/// The file holds `contents` when this returns, also after a loss of power; until then it holds what it held. If it fails, or is
/// stopped, one of the two. By a new file beside it, whose name is the path and ".new" (one that an earlier crash has left there is
/// removed), and which is renamed: so at most one caller at a time, permissions as of a new file, and a path that is a link is one no more.
[[nodiscard]] task<> replace_file(std::string path, std::string contents);

/// rename(2): atomic for who looks at it, and what `to` was is gone. To make it last: sync_directory().
[[nodiscard]] task<> rename_file(std::string from, std::string to);
/// unlink(2).
[[nodiscard]] task<> remove_file(std::string path);
/// mkdir(2). The permissions are 0777 without the process's umask.
[[nodiscard]] task<> create_directory(std::string path);
/// Returns once the names that were made, renamed and removed in the directory before are on the disk.
[[nodiscard]] task<> sync_directory(std::string path);
/// The directory of a path: what sync_directory() has to be given for it. "." when the path has none.
[[nodiscard]] std::string directory_of(std::string_view path);

}  // namespace belay::io
