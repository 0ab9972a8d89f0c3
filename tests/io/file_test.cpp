#include <belay/io/file.hpp>

#include <belay/io/error.hpp>
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/at_most.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/for_each.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <sstream>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

namespace fs = std::filesystem;
using io::file;

/// A directory that is gone afterwards.
class directory {
public:
    directory() {
        guardrails::allow why{"the same"};
        std::string name = (fs::temp_directory_path() / "belay-file-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"no temporary directory"};
        path_ = name;
    }
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;
    ~directory() {
        guardrails::allow why{"a directory of a test on a disk that others use too"};
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }

private:
    fs::path path_;
};

std::string on_disk(const std::string& path) {
    std::ostringstream all;
    all << std::ifstream{path}.rdbuf();
    return all.str();
}

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

BELAY_TEST(File, WritesAndReadsAtOffsets) {
    directory here;
    auto f = co_await file::open(here / "data", {.write = true, .create = true, .exclusive = true});
    co_await f.write_all_at(0, "hello world");
    co_await f.write_all_at(6, "belay");
    co_await f.sync_data();
    EXPECT_EQ(on_disk(here / "data"), "hello belay");
    EXPECT_EQ(co_await f.size(), 11U);
    std::array<std::byte, 5> five{};
    co_await f.read_exact_at(6, five);
    EXPECT_EQ(text_of(five), "belay");
    EXPECT_EQ(co_await f.read_some_at(11, five), 0U) << "the end of the file";
    EXPECT_EQ(co_await f.read_some_at(0, {}), 0U);
    co_await f.resize(5);
    EXPECT_EQ(on_disk(here / "data"), "hello");
    co_await f.resize(7);
    EXPECT_EQ(on_disk(here / "data"), std::string("hello\0\0", 7));
    co_await f.sync();
    co_await f.close();
    EXPECT_FALSE(f.is_open());
    EXPECT_EQ(f.name(), here / "data");
}

BELAY_TEST(File, AWriteThatIsStoppedBeforeItBeginsHasTransferredNothing) {
    directory here;
    auto f = co_await file::open(here / "data", {.write = true, .create = true});
    std::size_t transferred = 5;  // by an earlier call
    co_await with_scope([&](scope& s) -> task<> {
        s.request_stop();
        co_await finally(f.write_all_at(0, io::as_buffer("hello"), transferred),
                         []() -> task<> { co_return; });  // only the cleanup runs
    });
    EXPECT_EQ(transferred, 0U);
    EXPECT_EQ(on_disk(here / "data"), "");
}

BELAY_TEST(File, LargeTransfersAreWhole) {
    directory here;
    auto data = pattern(0, 5'000'000);
    auto f = co_await file::open(here / "large", {.write = true, .create = true});
    std::size_t transferred = 0;
    co_await f.write_all_at(1'000, data, transferred);
    EXPECT_EQ(transferred, data.size());
    std::vector<std::byte> back(data.size());
    co_await f.read_exact_at(1'000, back);
    CO_ASSERT_TRUE(back == data);
    std::vector<std::byte> hole(1'000);
    std::vector<std::byte> first(1'000, std::byte{1});
    co_await f.read_exact_at(0, first);
    EXPECT_EQ(first, hole);
}

BELAY_TEST(File, ManyTasksUseOneFile) {
    directory here;
    auto f = co_await file::open(here / "shared", {.write = true, .create = true});
    std::vector<std::size_t> blocks(200);
    std::iota(blocks.begin(), blocks.end(), std::size_t{0});
    constexpr std::size_t size = 3'000;
    co_await for_each(blocks, at_most(20), [&](std::size_t block) -> task<> {
        co_await f.write_all_at(block * size, pattern(block, size));
        std::vector<std::byte> back(size);
        co_await f.read_exact_at(block * size, back);
        EXPECT_EQ(back, pattern(block, size)) << "block " << block;
    });
    EXPECT_EQ(co_await f.size(), blocks.size() * size);
}

BELAY_TEST(File, AppendsWhereverItSays) {
    directory here;
    auto f = co_await file::open(here / "log", {.write = true, .create = true, .append = true});
    co_await f.write_all_at(0, "one ");
    co_await f.write_all_at(0, "two");
    EXPECT_EQ(on_disk(here / "log"), "one two");
}

BELAY_TEST(File, ErrorsNameTheOperationThePlaceAndThePath) {
    directory here;
    auto missing = [&]() -> task<> { co_await file::open(here / "missing"); };
    auto [error, text] = co_await error_of(missing());
    EXPECT_EQ(error.value(), ENOENT);
    EXPECT_TRUE(contains(text, here / "missing")) << text;

    auto f = co_await file::open(here / "short", {.write = true, .create = true});
    co_await f.write_all_at(0, "abc");
    std::array<std::byte, 10> ten{};
    auto [end, end_text] = co_await error_of(f.read_exact_at(1, ten));
    EXPECT_EQ(end, make_error_code(io::errc::end_of_stream));
    EXPECT_TRUE(contains(end_text, "read_exact_at at 1 of " + (here / "short"))) << end_text;

    auto reader = co_await file::open(here / "short");
    auto [refused, refused_text] = co_await error_of(reader.write_all_at(0, "x"));
    EXPECT_EQ(refused.value(), EBADF) << refused_text;
    auto far = [&]() -> task<> { co_await reader.read_some_at(~std::uint64_t{0}, ten); };
    EXPECT_EQ((co_await error_of(far())).first.value(), EFBIG);

    file closed;
    EXPECT_EQ((co_await error_of(closed.close())).first.value(), EBADF);
    EXPECT_EQ((co_await error_of(closed.sync())).first.value(), EBADF);
}

BELAY_TEST(File, SaysThatTheDiskIsFull) {
    if (::access("/dev/full", W_OK) != 0) co_return;  // every write to it is ENOSPC
    auto f = co_await file::open("/dev/full", {.read = false, .write = true});
    auto [error, text] = co_await error_of(f.write_all_at(0, "x"));
    EXPECT_EQ(error.value(), ENOSPC);
    EXPECT_TRUE(contains(text, "df -h")) << text;
}

BELAY_TEST(File, RefusesOptionsThatContradictEachOther) {
    auto open_with = [](io::file_options options) -> task<std::string> {
        try {
            co_await file::open("/tmp/never", options);
        } catch (const std::invalid_argument& error) {
            co_return error.what();
        }
        co_return "no error";
    };
    EXPECT_TRUE(contains(co_await open_with({.read = false}), "neither read nor write"));
    EXPECT_TRUE(contains(co_await open_with({.write = true, .exclusive = true}), "create is not set"));
    EXPECT_TRUE(contains(co_await open_with({.truncate = true}), "write is not set"));
    auto zero = [](std::string path) -> task<> { co_await file::open(std::move(path)); };
    CO_EXPECT_THROW(co_await zero(std::string("/tmp/a\0b", 8)), std::invalid_argument);
}

BELAY_TEST(File, AStoppedWriteAllSaysHowMuchItWrote) {
    directory here;
    auto f = co_await file::open(here / "stopped", {.write = true, .create = true});
    std::size_t position = 0;
    for (int round = 0; round < races / 4; ++round) {
        auto data = pattern(position, 50'000);
        std::size_t transferred = 0;
        co_await race(f.write_all_at(position, data, transferred), round);
        position += transferred;
    }
    CO_ASSERT_TRUE(on_disk(here / "stopped") == text_of(pattern(0, position))) << "a stopped write has written after all";
}

BELAY_TEST(File, AStoppedReadLeavesItsBufferAlone) {
    directory here;
    {
        auto f = co_await file::open(here / "data", {.write = true, .create = true});
        co_await f.write_all_at(0, pattern(0, 100'000));
    }
    auto f = co_await file::open(here / "data");
    const auto whole = pattern(0, 100'000);
    std::vector<std::byte> buffer(whole.size());
    for (int round = 0; round < races / 4; ++round) {
        std::ranges::fill(buffer, std::byte{0xee});
        auto read = [&]() -> task<bool> {
            co_await f.read_exact_at(0, buffer);
            co_return true;
        };
        auto won = co_await race(read(), round);
        if (std::get<0>(won.values)) {
            CO_ASSERT_TRUE(buffer == whole) << "round " << round;
        } else {  // whatever was read until then: nothing comes any more
            std::ranges::fill(buffer, std::byte{0xee});
            co_await yield_times(20);
            CO_ASSERT_TRUE(std::ranges::count(buffer, std::byte{0xee}) == std::ssize(buffer)) << "round " << round;
        }
    }
}

BELAY_TEST(File, OpeningMayBeStoppedAndLeaksNothing) {
    directory here;
    for (int round = 0; round < races / 4; ++round) {
        auto open = [&]() -> task<> {
            auto f = co_await file::open(here / "x", {.write = true, .create = true});
            co_await f.close();
        };
        co_await race(open(), round);
    }  // the test's own check of descriptors is what finds a leak
}

BELAY_TEST(Files, AreReadAndReplacedAsAWhole) {
    directory here;
    co_await io::replace_file(here / "settings", "first");
    EXPECT_EQ(co_await io::read_file(here / "settings"), "first");
    co_await io::replace_file(here / "settings", std::string(200'000, 'x'));
    EXPECT_EQ(co_await io::read_file(here / "settings"), std::string(200'000, 'x'));
    EXPECT_FALSE(fs::exists(here / "settings.new"));
    auto too_large = [&]() -> task<> { co_await io::read_file(here / "settings", 1'000); };
    auto [error, text] = co_await error_of(too_large());
    EXPECT_EQ(error.value(), EFBIG);
    EXPECT_TRUE(contains(text, "1000 bytes")) << text;
    EXPECT_EQ((co_await io::read_file(here / "settings", 200'000)).size(), 200'000U);
    EXPECT_TRUE(contains(co_await io::read_file("/proc/self/status"), "VmRSS")) << "which says that its size is 0";
}

BELAY_TEST(Files, AFailedReplacementLeavesNothing) {
    directory here;
    co_await io::create_directory(here / "settings");
    auto [error, text] = co_await error_of(io::replace_file(here / "settings", "text"));
    EXPECT_EQ(error.value(), EISDIR) << text;
    EXPECT_FALSE(fs::exists(here / "settings.new"));
    EXPECT_TRUE(fs::is_directory(here / "settings"));
}

BELAY_TEST(Files, AReplacementFollowsNoLinkThatSomebodyHasLeft) {
    directory here;
    std::ofstream{here / "victim"} << "precious";
    fs::create_symlink(here / "victim", here / "settings.new");
    co_await io::replace_file(here / "settings", "text");
    EXPECT_EQ(on_disk(here / "victim"), "precious");
    EXPECT_EQ(on_disk(here / "settings"), "text");
}

BELAY_TEST(Files, AreNoPipes) {
    directory here;
    CO_ASSERT_EQ(::mkfifo((here / "fifo").c_str(), 0600), 0);
    auto open = [&]() -> task<> { co_await file::open(here / "fifo", {.write = true}); };
    auto [error, text] = co_await error_of(open());
    EXPECT_EQ(error.value(), ESPIPE);
    EXPECT_TRUE(contains(text, "pipe_reader")) << text;
}

BELAY_TEST(Files, HaveNames) {
    directory here;
    co_await io::create_directory(here / "sub");
    co_await io::replace_file(here / "sub/a", "a");
    co_await io::rename_file(here / "sub/a", here / "b");
    co_await io::sync_directory(here / "sub");
    EXPECT_EQ(on_disk(here / "b"), "a");
    co_await io::remove_file(here / "b");
    EXPECT_FALSE(fs::exists(here / "b"));
    auto [error, text] = co_await error_of(io::remove_file(here / "b"));
    EXPECT_EQ(error.value(), ENOENT);
    EXPECT_TRUE(contains(text, "remove_file " + (here / "b"))) << text;
    CO_EXPECT_THROW(co_await io::remove_file(std::string("a\0b", 3)), std::invalid_argument);
}

TEST(DirectoryOf, IsWhatSyncDirectoryNeeds) {
    EXPECT_EQ(io::directory_of("settings"), ".");
    EXPECT_EQ(io::directory_of("/settings"), "/");
    EXPECT_EQ(io::directory_of("/etc/belay/settings"), "/etc/belay");
    EXPECT_EQ(io::directory_of("etc/settings"), "etc");
}

}  // namespace
}  // namespace belay::testing
