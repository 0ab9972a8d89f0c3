#include <belay/observability/impl/native_stack.hpp>

#include <belay/observability/impl/symbols.hpp>
#include <belay/observability/impl/syscall_text.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>

#include <elf.h>
#include <link.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;
constexpr auto patient = std::chrono::milliseconds{60'000};  // never waited for: the thread answers

std::vector<std::string> names_of(const native_stack& stack) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < stack.depth; ++i) names.push_back(symbolise(stack.frames[i].address).function);
    return names;
}

bool contains(const std::vector<std::string>& names, std::string_view wanted) {
    for (const auto& name : names)
        if (name.find(wanted) != std::string::npos) return true;
    return false;
}

std::vector<int> caught_signals() {
    std::vector<int> result;
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
        struct sigaction now{};
        if (::sigaction(signal, nullptr, &now) == 0 && ((now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL))
            result.push_back(signal);
    }
    return result;
}

TEST(NativeStack, AThreadThatComputesIsInterruptedAndNamed) {
    test::hog_thread hog;
    auto before = caught_signals();
    auto stack = interrupt_and_walk(hog.tid(), patient);
    ASSERT_EQ(stack.problem, nullptr) << stack.problem;
    EXPECT_TRUE(contains(names_of(stack), "spin_in_a_named_function")) << ::testing::PrintToString(names_of(stack));
    EXPECT_EQ(caught_signals(), before) << "nothing stays installed";
}

TEST(NativeStack, ItCanBeTakenAgainAndAgain) {
    test::hog_thread hog;
    for (int i = 0; i < 100; ++i) {
        const char* problem = interrupt_and_walk(hog.tid(), patient).problem;
        ASSERT_EQ(problem, nullptr) << problem;
    }
}

TEST(NativeStack, ASignalOfTheHostIsNotTouched) {
    struct sigaction before{};
    struct sigaction host{};
    host.sa_handler = [](int) {};
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal)
        ASSERT_EQ(::sigaction(signal, &host, signal == SIGRTMIN ? &before : nullptr), 0);
    test::hog_thread hog;
    EXPECT_STREQ(interrupt_and_walk(hog.tid(), patient).problem, "the program uses every real-time signal");
    host.sa_handler = SIG_DFL;
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ::sigaction(signal, &host, nullptr);
}

TEST(NativeStack, AThreadThatHasEndedIsSaidSo) {
    int ended = 0;
    std::thread{[&] { ended = static_cast<int>(::syscall(SYS_gettid)); }}.join();
    auto stack = interrupt_and_walk(ended, patient);
    EXPECT_EQ(stack.depth, 0U);
    EXPECT_NE(stack.problem, nullptr);
}

TEST(NativeStack, ASleepingThreadIsReadWithoutWakingIt) {
    test::blocked_thread blocked;
    auto before = read_syscall(blocked.tid());
    ASSERT_TRUE(before.asleep);
    EXPECT_EQ(describe_syscall(before).text, "read(fd=" + describe_descriptor(blocked.fd()) + ")");
    EXPECT_NE(describe_descriptor(blocked.fd()).find(" -> pipe:["), std::string::npos);
    auto stack = walk_asleep(before.sp, before.pc);
    EXPECT_TRUE(test::intercepted_calls || contains(names_of(stack), "read_in_a_named_function"))
        << ::testing::PrintToString(names_of(stack));
    EXPECT_EQ(read_syscall(blocked.tid()), before) << "still the same call";
}

TEST(NativeStack, AWildStackPointerIsHarmless) {
    for (std::uint64_t sp :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096}, ~std::uint64_t{0}, ~std::uint64_t{0} - 4095}) {
        auto stack = walk_asleep(sp, 1234);
        EXPECT_LE(stack.depth, native_stack::max_frames);
        native_stack chain;
        follow_frame_pointers(chain, sp, sp + 16);
        EXPECT_EQ(chain.depth, 0U);
    }
}

// The program's own build id as the loader has it in memory; symbolise() reads the file.
std::string build_id_in_memory() {
    std::string id;
    ::dl_iterate_phdr(
        [](dl_phdr_info* module, std::size_t, void* out) {
            for (int i = 0; i < module->dlpi_phnum; ++i) {
                const auto& segment = module->dlpi_phdr[i];
                if (segment.p_type != PT_NOTE) continue;
                const auto* at = reinterpret_cast<const unsigned char*>(module->dlpi_addr + segment.p_vaddr);
                const auto* end = at + segment.p_memsz;
                while (at < end) {
                    ElfW(Nhdr) note{};
                    std::memcpy(&note, at, sizeof note);
                    const auto* bytes = at + sizeof note + (note.n_namesz + 3) / 4 * 4;
                    for (unsigned b = 0; note.n_type == NT_GNU_BUILD_ID && b < note.n_descsz; ++b) {
                        std::array<char, 3> digits{};
                        std::snprintf(digits.data(), digits.size(), "%02x", bytes[b]);
                        *static_cast<std::string*>(out) += digits.data();
                    }
                    at = bytes + (note.n_descsz + 3) / 4 * 4;
                }
            }
            return 1;  // the first one is the program
        },
        &id);
    return id;
}

TEST(NativeStack, AFrameSaysWhichBuildItsModuleIs) {
    auto here = symbolise(reinterpret_cast<std::uint64_t>(&build_id_in_memory));
    EXPECT_NE(here.function.find("build_id_in_memory"), std::string::npos);
    EXPECT_EQ(here.build_id, build_id_in_memory());
    auto there = symbolise(reinterpret_cast<std::uint64_t>(&::getppid));
    EXPECT_NE(there.build_id, here.build_id);
    EXPECT_FALSE(there.build_id.empty());  // Debian's C library has one
}

TEST(NativeStack, AnAddressOutsideOfAnyModuleIsShownAsANumber) {
    auto frame = symbolise(0x10);
    EXPECT_EQ(frame.function, "?");
    EXPECT_EQ(frame.place, "0x10");
}

}  // namespace
}  // namespace belay::detail
