#include <belay/io/error.hpp>

#include <gtest/gtest.h>
#include <netdb.h>

#include <string>
#include <system_error>

namespace {

namespace io = belay::io;

TEST(IoError, HasItsOwnCategory) {
    const std::error_code code = io::errc::end_of_stream;
    EXPECT_EQ(&code.category(), &io::error_category());
    EXPECT_STREQ(code.category().name(), "belay.io");
    EXPECT_NE(code.message().find("end of stream"), std::string::npos);
    EXPECT_EQ(std::error_code(99, io::error_category()).message(), "unknown error");
}

TEST(IoError, ResolverErrorsSpeakLikeGetaddrinfo) {
    const std::error_code code{EAI_AGAIN, io::resolver_category()};
    EXPECT_STREQ(code.category().name(), "getaddrinfo");
    EXPECT_EQ(code.message(), ::gai_strerror(EAI_AGAIN));
}

TEST(IoError, ASystemErrorKeepsItsErrno) {
    try {
        io::detail::throw_errno(ECONNRESET, "tcp_stream: read");
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::connection_reset);
        EXPECT_EQ(std::string{error.what()}.find("belay: tcp_stream: read: "), 0U) << error.what();
    }
}

}  // namespace
