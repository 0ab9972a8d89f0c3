// What concerns files as a whole, and their names.
#include <belay/io/detail/file_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/file.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace belay::io {
namespace {

using detail::file_calls;

/// Calls it off the workers; an error names the action.
template <class Call>
task<> perform(std::string action, Call call) {
    if (action.find('\0') != action.npos)
        throw std::invalid_argument{"belay: " + action + ": the path has a zero byte, at which the kernel would cut it"};
    const int result = co_await spawn_blocking([&]() noexcept { return call(); });
    if (result < 0) detail::throw_errno(-result, action);
}

mutable_buffer bytes_of(std::string& text) noexcept { return std::as_writable_bytes(std::span{text.data(), text.size()}); }

}  // namespace

std::string directory_of(std::string_view path) {
    const auto slash = path.rfind('/');
    if (slash == path.npos) return ".";
    return std::string{path.substr(0, std::max<std::size_t>(slash, 1))};
}

task<std::string> read_file(std::string path, std::size_t limit) {
    auto from = co_await file::open(path);
    // One byte more than it says: files of /proc say 0, and others may grow.
    const std::uint64_t expected = std::min<std::uint64_t>(co_await from.size(), limit);
    std::string all(std::max<std::size_t>(static_cast<std::size_t>(expected), 4095) + 1, '\0');
    for (std::size_t length = 0;;) {
        const std::size_t bytes = co_await from.read_some_at(length, bytes_of(all).subspan(length));
        length += bytes;
        if (length > limit)
            detail::throw_errno(EFBIG,
                                "read_file " + path + ": it holds more than the limit of " + std::to_string(limit) + " bytes");
        if (bytes == 0) {
            all.resize(length);
            break;
        }
        if (length == all.size()) all.resize(2 * length);
    }
    co_await from.close();
    co_return all;
}

task<> replace_file(std::string path, std::string contents) {
    const std::string beside = path + ".new";
    bool made = false;
    auto replace = [&]() -> task<> {
        // A new file in any case: neither what an earlier crash has left, nor what a link by this name leads to.
        co_await perform("remove_file " + beside, [&]() noexcept {
            const int result = file_calls::remove(beside);
            return result == -ENOENT ? 0 : result;
        });
        auto fresh = co_await file::open(beside, {.read = false, .write = true, .create = true, .exclusive = true});
        made = true;
        co_await fresh.write_all_at(0, contents);
        co_await fresh.sync();  // before its name: or the name could outlive a crash, and the contents not
        co_await fresh.close();
        co_await rename_file(beside, path);
        made = false;
        co_await sync_directory(directory_of(path));
    };
    co_await finally(replace(), [&]() -> task<> {
        if (made) co_await remove_file(beside);
    });
}

task<> rename_file(std::string from, std::string to) {
    return perform("rename_file " + from + " to " + to, [from, to]() noexcept { return file_calls::rename(from, to); });
}
task<> remove_file(std::string path) {
    return perform("remove_file " + path, [path]() noexcept { return file_calls::remove(path); });
}
task<> create_directory(std::string path) {
    constexpr unsigned permissions = 0777;
    return perform("create_directory " + path, [path]() noexcept { return file_calls::create_directory(path, permissions); });
}
task<> sync_directory(std::string path) {
    return perform("sync_directory " + path, [path]() noexcept { return file_calls::sync_directory(path); });
}

}  // namespace belay::io
