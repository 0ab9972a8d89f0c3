// Files and datagrams. The reads are of what the kernel has in memory, beside the same system call on the worker and on a pool's thread:
// what it costs that a worker never waits for a disk.
#include <belay/bench/measure.hpp>
#include <belay/io/file.hpp>
#include <belay/io/pipe.hpp>
#include <belay/io/udp_socket.hpp>
#include <belay/runtime/blocking.hpp>

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace io = belay::io;

/// 4 MiB, gone afterwards.
class sample {
public:
    static constexpr std::size_t bytes = std::size_t{4} << 20;
    sample() : path_{(std::filesystem::temp_directory_path() / "belay-bench-XXXXXX").string()} {
        const int fd = ::mkstemp(path_.data());
        if (fd < 0) throw std::runtime_error{"no temporary file"};
        ::close(fd);
        std::filesystem::resize_file(path_, bytes);
    }
    sample(const sample&) = delete;
    sample& operator=(const sample&) = delete;
    ~sample() { std::filesystem::remove(path_); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

enum class way { file, pread, spawn_blocking };

template <way How>
belay::task<> read(benchmark::State& state) {
    sample data;
    auto f = co_await io::file::open(data.path());
    std::vector<std::byte> buffer(static_cast<std::size_t>(state.range(1)));
    std::size_t offset = 0;
    const int fd = f.native_handle();
    for (auto _ : state) {
        std::size_t n = 0;
        if constexpr (How == way::file) {
            n = co_await f.read_some_at(offset, buffer);
        } else if constexpr (How == way::pread) {
            n = static_cast<std::size_t>(::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)));
        } else {
            n = co_await belay::spawn_blocking(
                [&] { return static_cast<std::size_t>(::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset))); });
        }
        benchmark::DoNotOptimize(n);
        offset = (offset + buffer.size()) % sample::bytes;
    }
}

belay::task<> write(benchmark::State& state) {
    sample data;
    auto f = co_await io::file::open(data.path(), {.write = true});
    std::vector<std::byte> buffer(static_cast<std::size_t>(state.range(1)));
    std::size_t offset = 0;
    for (auto _ : state) {
        co_await f.write_all_at(offset, buffer);
        offset = (offset + buffer.size()) % sample::bytes;
    }
}

template <way How>
void reads(const char* name) {
    benchmark::RegisterBenchmark(name, bench::on_workers<read<How>>)
        ->ArgNames({"workers", "bytes"})
        ->ArgsProduct({{1}, {4096, 1 << 20}})
        ->Apply(bench::with_both_clocks);
}

[[maybe_unused]] const bool registered = [] {
    reads<way::file>("file_read");
    reads<way::pread>("pread");
    reads<way::spawn_blocking>("spawn_blocking_pread");
    return true;
}();
BENCHMARK(bench::on_workers<write>)
    ->Name("file_write")
    ->ArgNames({"workers", "bytes"})
    ->ArgsProduct({{1}, {4096, 1 << 20}})
    ->Apply(bench::with_both_clocks);

belay::task<> udp_echo(benchmark::State& state) {
    auto server = io::udp_socket::bind("127.0.0.1:0");
    auto client = io::udp_socket::bind("127.0.0.1:0");
    std::array<std::byte, 64> message{};
    const auto where = server.local();
    for (auto _ : state) {
        co_await client.send_to(message, where);
        auto question = co_await server.receive(message);
        co_await server.send_to(message, question.from);
        co_await client.receive(message);
    }
}
BENCHMARK(bench::on_workers<udp_echo>)->Name("udp_echo")->ArgName("workers")->Arg(1)->Apply(bench::with_both_clocks);

belay::task<> pipe(benchmark::State& state) {
    auto [out, in] = io::make_pipe();
    std::array<std::byte, 64> message{};
    for (auto _ : state) {
        co_await in.write_all(message);
        co_await out.read_exact(message);
    }
}
BENCHMARK(bench::on_workers<pipe>)->Name("pipe")->ArgName("workers")->Arg(1)->Apply(bench::with_both_clocks);

}  // namespace

BENCHMARK_MAIN();
