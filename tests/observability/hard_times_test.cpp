// A report comes out whatever state the process is in: all workers stuck, the application's logger locked, no memory.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

// Clang's sanitizers bring an operator new of their own, and nobody else may.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_OPERATOR_NEW 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_OPERATOR_NEW 0
#endif
#endif
#ifndef OWN_OPERATOR_NEW
#define OWN_OPERATOR_NEW 1
#endif

#if OWN_OPERATOR_NEW
namespace {
std::atomic<bool> memory_is_exhausted{false};
}

// The whole program's, so that nobody gets memory.
void* operator new(std::size_t bytes) {
    if (!memory_is_exhausted)
        if (void* block = std::malloc(bytes == 0 ? 1 : bytes)) return block;
    throw std::bad_alloc{};
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
#endif

namespace belay {
namespace {

/// Standard error goes into a pipe while this exists.
class piped_stderr {
public:
    piped_stderr() {
        EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
        before_ = ::dup(STDERR_FILENO);
        ::dup2(ends_[1], STDERR_FILENO);
    }
    piped_stderr(const piped_stderr&) = delete;
    piped_stderr& operator=(const piped_stderr&) = delete;
    ~piped_stderr() {
        ::dup2(before_, STDERR_FILENO);
        for (int fd : {ends_[0], ends_[1], before_}) ::close(fd);
    }
    /// Waits for more, and takes what there is. Needs no memory from the heap.
    std::string_view read() {
        auto n = ::read(ends_[0], bytes_, sizeof bytes_);
        return {bytes_, n > 0 ? static_cast<std::size_t>(n) : 0};
    }

private:
    int ends_[2] = {-1, -1};
    int before_ = -1;
    char bytes_[16'384];
};

bool contains(std::string_view text, std::string_view wanted) { return text.find(wanted) != std::string_view::npos; }

TEST(HardTimes, AllWorkersWaitForTheApplicationsLogger) {
    piped_stderr errors;
    std::mutex logger;
    std::string said;
    {
        runtime rt{test::with_policy("all=log,block=off,stall=log:20ms,deadlock=off", 2)};
        std::unique_lock lock{logger};
        auto log = [&logger]() -> task<> {
            std::scoped_lock also{logger};
            co_return;
        };
        auto first = rt.spawn(log);
        auto second = rt.spawn(log);
        while (!contains(said, "worker 0") || !contains(said, "worker 1") || said.back() != '\n') said += errors.read();
        lock.unlock();
    }
    EXPECT_TRUE(contains(said, "belay: WARN [blocked-worker]")) << said;
    EXPECT_TRUE(contains(said, "ASLEEP IN A SYSTEM CALL")) << said;
    EXPECT_TRUE(contains(said, "stack id")) << said;
}

#if OWN_OPERATOR_NEW
TEST(HardTimes, ThereIsNoMemory) {
    piped_stderr errors;
    std::atomic<bool> computes{false};
    std::atomic<bool> enough{false};
    char line[512] = {};
    {
        runtime rt{test::with_policy("all=log,block=off,stall=log:20ms,deadlock=off", 1)};
        rt.spawn([&]() -> task<> {
            computes = true;
            while (!enough) {}
            co_return;
        });
        while (!computes) {}
        memory_is_exhausted = true;
        auto said = errors.read();
        memory_is_exhausted = false;
        said.copy(line, sizeof line - 1);
        enough = true;
    }
    std::string_view said{line};
    EXPECT_TRUE(said.starts_with("belay: WARN [blocked-worker] at ")) << said;
    EXPECT_TRUE(contains(said, "hard_times_test.cpp:")) << said;
    EXPECT_TRUE(contains(said, "(there is no memory to say more)\n")) << said;
}
#endif

}  // namespace
}  // namespace belay
