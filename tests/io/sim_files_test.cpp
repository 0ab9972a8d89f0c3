// The disks of a simulation: files do in it what they do in reality, and a crash forgets what was not synced.
#include <belay/io/sim_files.hpp>

#include <belay/io/error.hpp>
#include <belay/io/file.hpp>
#include <belay/io/sim_network.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "sim_kit.hpp"

namespace belay::io {
namespace {

using namespace std::chrono_literals;

task<> write(std::string path, std::string text, bool synced) {
    auto f = co_await file::open(path, {.write = true, .create = true});
    co_await f.write_all_at(0, text);
    if (synced) co_await f.sync();
    co_await f.close();
    if (synced) co_await sync_directory(directory_of(path));
}

BELAY_TEST_SIM(SimFiles, DoWhatFilesDo, .seeds = 30) {
    co_await create_directory("/data");
    auto f = co_await file::open("/data/a", {.write = true, .create = true, .exclusive = true});
    co_await f.write_all_at(0, "hello world");
    co_await f.write_all_at(20, "far");
    EXPECT_EQ(co_await f.size(), 23U);
    std::array<std::byte, 23> all{};
    co_await f.read_exact_at(0, all);
    EXPECT_EQ(all[15], std::byte{0}) << "a hole reads as zeros";
    co_await f.resize(5);
    EXPECT_EQ(sim_files::of(sim).contents("/data/a"), "hello");
    EXPECT_EQ(co_await f.read_some_at(5, all), 0U);
    EXPECT_EQ((co_await error_of(f.read_exact_at(0, all))), static_cast<int>(errc::end_of_stream));
    co_await f.close();

    EXPECT_EQ(co_await error_of(file::open("/data/none")), ENOENT);
    EXPECT_EQ(co_await error_of(file::open("/none/a", {.write = true, .create = true})), ENOENT);
    EXPECT_EQ(co_await error_of(file::open("/data/a/b", {.write = true, .create = true})), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open("/data/a", {.write = true, .create = true, .exclusive = true})), EEXIST);
    EXPECT_EQ(co_await error_of(file::open("/data", {.write = true})), EISDIR);
    EXPECT_EQ(co_await error_of(create_directory("/data")), EEXIST);
    EXPECT_EQ(co_await error_of(remove_file("/data")), EISDIR);
    auto reader = co_await file::open("data/../data//a");
    EXPECT_EQ(co_await error_of(reader.write_all_at(0, "x")), EBADF);
    co_await rename_file("/data/a", "/tmp/b");
    co_await reader.read_exact_at(0, std::span(all).first(5));  // whatever its name is
    EXPECT_EQ(co_await read_file("/tmp/b"), "hello");
    co_await remove_file("/tmp/b");
    EXPECT_FALSE(sim_files::of(sim).exists("/tmp/b"));
    co_await reader.read_exact_at(0, std::span(all).first(5));

    auto log = co_await file::open("/data/log", {.read = false, .write = true, .create = true, .append = true});
    co_await log.write_all_at(0, "one ");
    co_await log.write_all_at(0, "two");
    EXPECT_EQ(sim_files::of(sim).contents("/data/log"), "one two");
    EXPECT_EQ(co_await error_of(log.read_some_at(0, all)), EBADF);
}

BELAY_TEST_SIM(SimFiles, TakeTimeAndRoom, .seeds = 5) {
    auto& files = sim_files::of(sim);
    files.set_faults({.short_transfer = 0});
    files.add_disk("/slow", {.latency = 10ms, .capacity = 1'000});
    auto f = co_await file::open("/slow/f", {.write = true, .create = true});
    auto began = sim.elapsed();
    co_await f.write_all_at(0, std::string(600, 'x'));
    EXPECT_GE(sim.elapsed() - began, 10ms);
    EXPECT_LT(sim.elapsed() - began, 11ms);
    EXPECT_EQ(co_await error_of(write("/slow/g", std::string(600, 'y'), false)), ENOSPC);
    EXPECT_EQ(files.contents("/slow/g").size(), 400U) << "what there was room for";
    co_await f.write_all_at(0, std::string(600, 'z'));  // needs none
    EXPECT_EQ(co_await error_of(f.resize(601)), ENOSPC);
    EXPECT_EQ(co_await error_of(rename_file("/slow/f", "/tmp/f")), EXDEV);
}

/// In a directory of its own.
task<> odd_paths(std::string in) {
    auto again = [&]() -> task<> { co_await write(in + "/f", "text", false); };
    co_await again();
    co_await create_directory(in + "/d/");
    EXPECT_EQ(co_await error_of(file::open(in + "/f/.")), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open(in + "/f/../f")), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open(in + "/none/../f")), ENOENT);
    EXPECT_EQ(co_await error_of(file::open(in + "/d/../f")), 0);
    EXPECT_EQ(co_await error_of(file::open(in + "/d/./../d//../f")), 0);
    EXPECT_EQ(co_await error_of(file::open(in + "/f/x/y")), ENOTDIR);
    EXPECT_EQ(co_await error_of(create_directory(in + "/f/x")), ENOTDIR);
    EXPECT_EQ(co_await error_of(create_directory(in + "/none/x")), ENOENT);
    EXPECT_EQ(co_await error_of(sync_directory(in + "/f")), ENOTDIR);
    EXPECT_EQ(co_await error_of(sync_directory(in + "/f/../d")), ENOTDIR);
    const file_options made{.write = true, .create = true};
    EXPECT_EQ(co_await error_of(file::open(in + '/' + std::string(255, 'x'), made)), 0);
    EXPECT_EQ(co_await error_of(file::open(in + '/' + std::string(256, 'x'), made)), ENAMETOOLONG);
    EXPECT_EQ(co_await error_of(create_directory(in + '/' + std::string(256, 'x') + "/y")), ENAMETOOLONG);
    std::string deep = in;
    while (deep.size() < 4'096) deep += "/.";
    EXPECT_EQ(co_await error_of(file::open(deep)), ENAMETOOLONG);
    EXPECT_EQ(co_await error_of(remove_file(in + "/f/")), ENOTDIR);
    EXPECT_EQ(co_await error_of(rename_file(in + "/f", in + "/g/")), ENOTDIR);
    EXPECT_EQ(co_await error_of(rename_file(in + "/f/", in + "/g")), ENOTDIR);
    EXPECT_EQ(co_await error_of(rename_file(in + "/f", in + "/d")), EISDIR);
    EXPECT_EQ(co_await error_of(rename_file(in + "/f", in + "/f")), 0);
    EXPECT_EQ(co_await error_of(rename_file(in + "/f", in + "/d/g")), 0);
    EXPECT_EQ(co_await error_of(remove_file(in + "/d/../d/g")), 0);
}
BELAY_TEST(SimFiles, OddPathsInReality) {
    const std::string directory = std::filesystem::temp_directory_path() / ("belay_sim_files_" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    co_await odd_paths(directory);
    std::filesystem::remove_all(directory);
}
BELAY_TEST_SIM(SimFiles, OddPaths, .seeds = 3) { co_await odd_paths("/tmp"); }
BELAY_TEST_SIM(SimFiles, OddPathsOfADiskBelowNoDirectory, .seeds = 3) {
    sim_files::of(sim).add_disk("/a/b", {});
    co_await odd_paths("/a/b");
    EXPECT_EQ(co_await error_of(file::open("/a/b/../b/../../tmp")), 0);
}

BELAY_TEST_SIM(SimFiles, SayWhatTheKernelSaysOfOddPathsAndSizes, .seeds = 3) {
    auto& files = sim_files::of(sim);
    files.put("/tmp/f", "text");
    EXPECT_EQ(co_await error_of(file::open("/tmp/f/x")), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open("/tmp/f/x/y")), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open("/tmp/f/")), ENOTDIR);
    EXPECT_EQ(co_await error_of(file::open("")), ENOENT);
    EXPECT_EQ(co_await error_of(remove_file("")), ENOENT);
    EXPECT_EQ(co_await error_of(create_directory("")), ENOENT);
    auto f = co_await file::open("/tmp/f", {.write = true});
    EXPECT_EQ(co_await error_of(f.resize(std::uint64_t{1} << 40)), EFBIG);
    EXPECT_EQ(co_await error_of(f.write_all_at(std::uint64_t{1} << 40, "x")), EFBIG);
}

BELAY_TEST_SIM(SimFiles, WhatATestPutsThereStays, .seeds = 20) {
    auto& files = sim_files::of(sim);
    co_await write("/tmp/made", "x", false);
    files.put("/tmp/made", "put");
    co_await remove_file("/tmp/made");
    files.put("/tmp/made", "again");
    co_await create_directory("/tmp/d");
    files.put("/tmp/d/e/f", "deep");
    files.crash("/");
    files.restart("/");
    EXPECT_EQ(files.contents("/tmp/made"), "again");
    EXPECT_EQ(co_await read_file("/tmp/d/e/f"), "deep");
}

BELAY_TEST_SIM(SimFiles, FailByScript, .seeds = 5) {
    auto& files = sim_files::of(sim);
    files.fail_next(file_call::open, EMFILE);
    EXPECT_EQ(co_await error_of(file::open("/tmp/a", {.write = true, .create = true})), EMFILE);
    auto f = co_await file::open("/tmp/a", {.write = true, .create = true});
    sim_network::of(sim).fail_next(io_opcode::write, ENOSPC);
    EXPECT_EQ(co_await error_of(f.write_all_at(0, "a")), ENOSPC);
    EXPECT_EQ(files.contents("/tmp/a"), "");
    co_await f.write_all_at(0, "lost");
    files.fail_next(file_call::sync, EIO);
    EXPECT_EQ(co_await error_of(f.sync()), EIO);
    co_await f.sync();  // does not know any more that anything was wrong
    co_await sync_directory("/tmp");
    files.crash("/");
    files.restart("/");
    EXPECT_EQ(files.contents("/tmp/a"), "") << "what a failed sync did not write is gone, whatever later ones say";
}

TEST(SimFiles, FailByTheSeed) {
    // Each of these is met under some seeds.
    std::set<int> errors;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        simulation sim{{.seed = seed}};
        sim_files::of(sim).set_faults(
            {.short_transfer = 2, .read_error = 8, .write_error = 8, .no_space = 8, .sync_error = 8, .no_descriptor = 8});
        errors.insert(sim.block_on([&] { return error_of(write("/tmp/a", std::string(10'000, 'x'), true)); }));
    }
    EXPECT_EQ(errors, (std::set{0, EIO, ENOSPC, EMFILE}));
}

BELAY_TEST_SIM(SimFiles, WhatWasSyncedSurvivesACrash, .seeds = 50) {
    auto& files = sim_files::of(sim);
    co_await write("/tmp/synced", "kept", true);
    auto f = co_await file::open("/tmp/synced", {.write = true});
    co_await f.write_all_at(0, "K");
    co_await write("/tmp/new", "perhaps", false);
    files.crash("/");
    EXPECT_EQ(co_await error_of(f.sync()), EIO) << "its disk is gone";
    EXPECT_EQ(co_await error_of(file::open("/tmp/synced")), EIO);
    files.restart("/");
    EXPECT_EQ(co_await error_of(f.write_all_at(0, "x")), EIO) << "a file that was open remains broken";
    auto after = co_await read_file("/tmp/synced");
    EXPECT_TRUE(after == "kept" || after == "Kept") << after;
}

TEST(SimFiles, WhatWasNotSyncedMaySurviveMayBeGoneAndMayBeTorn) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        simulation sim{{.seed = seed}};
        sim_files::of(sim).set_faults({.short_transfer = 0});
        sim.block_on([&]() -> task<> {
            auto& files = sim_files::of(sim);
            files.put("/tmp/f", std::string(1'024, 'o'));
            auto f = co_await file::open("/tmp/f", {.write = true});
            co_await f.write_all_at(0, std::string(1'024, 'n'));
            co_await write("/tmp/g", "", false);
            files.crash("/");
            files.restart("/");
            auto text = files.contents("/tmp/f");
            seen.insert(text == std::string(1'024, 'o')                         ? "old"
                        : text == std::string(1'024, 'n')                       ? "new"
                        : text == std::string(512, 'n') + std::string(512, 'o') ? "torn"
                                                                                : "what no disk does");
            seen.insert(files.exists("/tmp/g") ? "its name is there" : "its name is gone");
        });
    }
    EXPECT_EQ(seen, (std::set<std::string>{"old", "new", "torn", "its name is there", "its name is gone"}));
}

/// A save that forgets the sync: correct in every run in which the machine does not crash.
task<> replace_carelessly(std::string path, std::string text) {
    auto f = co_await file::open(path + ".new", {.write = true, .create = true, .truncate = true});
    co_await f.write_all_at(0, text);
    co_await f.close();
    co_await rename_file(path + ".new", path);
    co_await sync_directory(directory_of(path));
}

/// Replaces a file, and crashes the machine at a moment that the seed chooses. What a restart finds.
template <class Save>
task<std::string> save_and_crash(simulation& sim, Save save) {
    auto& files = sim_files::of(sim);
    files.add_disk("/db", {.latency = 1ms, .jitter = 3ms});
    files.put("/db/settings", "old");
    co_await with_scope([&](scope& machine) -> task<> {
        machine.spawn([&]() -> task<> {
            try {
                co_await save("/db/settings", std::string(2'000, 'n'));
            } catch (const std::system_error&) {  // the disk is gone
            }
        });
        co_await sleep_for(std::chrono::microseconds{sim.draw(12'000)});
        files.crash("/db");
        machine.request_stop();
    });
    files.restart("/db");
    co_return co_await read_file("/db/settings");
}

BELAY_TEST_SIM(SimFiles, ReplaceFileSurvivesACrashAtAnyMoment) {
    auto found = co_await save_and_crash(sim, replace_file);
    EXPECT_TRUE(found == "old" || found == std::string(2'000, 'n')) << "it holds " << found.size() << " bytes: " << found;
}

TEST(SimFiles, ASaveThatForgetsTheSyncIsFound) {
    auto result = kit::explore({.seeds = 2'000, .shrink = false}, [](simulation& sim) -> task<> {
        auto found = co_await save_and_crash(sim, replace_carelessly);
        if (found != "old" && found != std::string(2'000, 'n')) throw std::runtime_error{"torn"};
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->what.find("torn"), std::string::npos) << result.failure->text();
}

TEST(SimFiles, ReplaceFileLeavesTheOldOrTheNewWhateverHappens) {
    std::string wrong;
    kit::explore_options options{.seeds = 50};
    options.check = [&] { return std::exchange(wrong, {}); };
    auto result = kit::examine(options, [&](simulation& sim) -> task<> {
        sim_files::of(sim).put("/tmp/f", "old");
        // Looked at when everything else is over, however it ended.
        struct look {
            simulation& sim;
            std::string& wrong;
            ~look() {
                auto text = sim_files::of(sim).contents("/tmp/f");
                if (text != "old" && text != "new") wrong = "it holds: " + text;
            }
        } at_the_end{sim, wrong};
        co_await replace_file("/tmp/f", "new");
    });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.stops, 20U);
    EXPECT_GT(result.failures, 5U);
}

BELAY_TEST_EVERYWHERE(SimFiles, FilesMayBeStoppedAndFailAnywhere, .seeds = 50) {
    sim_files::of(sim).set_disk({.latency = 1ms, .jitter = 2ms});
    co_await create_directory("/d");
    auto f = co_await file::open("/d/a", {.write = true, .create = true});
    co_await f.write_all_at(0, std::string(3'000, 'a'));
    std::array<std::byte, 1'000> one{};
    std::array<std::byte, 1'000> other{};
    co_await when_all(f.read_exact_at(0, one), f.read_exact_at(2'000, other), f.write_all_at(1'000, "b"));
    co_await f.sync();
    EXPECT_EQ(one, other);
    co_await f.close();
    co_await replace_file("/d/a", "c");
    EXPECT_EQ(co_await read_file("/d/a"), "c");
}

TEST(SimFiles, AStopFindsADiskThatHasBegunOrNot) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        simulation sim{{.seed = seed}};
        sim_files::of(sim).set_faults({.short_transfer = 0});
        sim_files::of(sim).set_disk({.latency = 5ms});
        sim.block_on([&]() -> task<> {
            auto f = co_await file::open("/tmp/f", {.write = true, .create = true});
            auto written = co_await try_timeout(1ms, f.write_some_at(0, as_buffer("x")));
            bool is_there = !sim_files::of(sim).contents("/tmp/f").empty();
            EXPECT_EQ(written.has_value(), is_there)
                << "a stopped write has not happened, and one that has happened is not stopped";
            seen.insert(written ? "done" : "not begun");
        });
    }
    EXPECT_EQ(seen, (std::set<std::string>{"done", "not begun"}));
}

TEST(SimFiles, AFileThatIsNotClosedIsFound) {
    auto result = kit::explore({.seeds = 1}, [](simulation&) -> task<> {
        auto f = co_await file::open("/tmp/f", {.write = true, .create = true});
        static_cast<void>(f.release().release());
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->what.find("1 files that were not closed"), std::string::npos) << result.failure->text();
}

TEST(SimFiles, RefusesWhatIsNoDiskAndNoFile) {
    simulation sim{{}};
    auto& files = sim_files::of(sim);
    EXPECT_THROW(files.crash("/nowhere"), std::invalid_argument);
    EXPECT_THROW(files.add_disk("relative", {}), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(files.contents("/tmp")), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(files.contents("/tmp/none")), std::invalid_argument);
}

}  // namespace
}  // namespace belay::io
