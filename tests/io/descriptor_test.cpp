#include <belay/io/descriptor.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>
#include <utility>

namespace {

using belay::io::descriptor;

static_assert(sizeof(descriptor) == sizeof(int));
static_assert(!std::is_copy_constructible_v<descriptor> && std::is_nothrow_move_constructible_v<descriptor>);
static_assert(!std::is_convertible_v<int, descriptor>);

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(Descriptor, ClosesWhatItOwns) {
    const int fd = open_null();
    {
        const descriptor owner{fd};
        EXPECT_TRUE(owner.is_open());
        EXPECT_EQ(owner.native_handle(), fd);
    }
    EXPECT_FALSE(is_open(fd));
}

TEST(Descriptor, OwnsNothingByDefault) {
    descriptor none;
    EXPECT_FALSE(none.is_open());
    EXPECT_EQ(none.native_handle(), -1);
    none.close();
}

TEST(Descriptor, MovingHandsTheDescriptorOn) {
    const int fd = open_null();
    descriptor first{fd};
    descriptor second{std::move(first)};
    EXPECT_FALSE(first.is_open());
    EXPECT_EQ(second.native_handle(), fd);
    const int other = open_null();
    descriptor third{other};
    third = std::move(second);
    EXPECT_EQ(third.native_handle(), fd);
    EXPECT_FALSE(is_open(other)) << "the one it had before";
    auto& itself = third;
    third = std::move(itself);
    EXPECT_TRUE(is_open(fd));
}

TEST(Descriptor, WhatIsReleasedStaysOpen) {
    descriptor owner{open_null()};
    const int fd = owner.release();
    EXPECT_FALSE(owner.is_open());
    EXPECT_TRUE(is_open(fd));
    ::close(fd);
}

TEST(Descriptor, ClosingTwiceClosesOnce) {
    descriptor owner{open_null()};
    owner.close();
    const int again = open_null();  // very likely the same number
    owner.close();
    EXPECT_TRUE(is_open(again));
    ::close(again);
}

TEST(Descriptor, ClosingKeepsErrno) {
    descriptor owner{open_null()};
    errno = E2BIG;
    owner.close();
    EXPECT_EQ(errno, E2BIG);
}

}  // namespace
