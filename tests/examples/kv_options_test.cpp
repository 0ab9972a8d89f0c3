#include <kv_server/options.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

using namespace std::chrono_literals;

kv::parsed_options parse(const std::vector<std::string_view>& arguments) { return kv::parse_options(arguments); }

TEST(KvOptions, EveryOptionIsRead) {
    const auto parsed =
        parse({"--bind", "0.0.0.0", "--port=7000", "--workers", "3", "--max-clients", "50", "--idle-timeout", "1.5", "--grace=0",
               "--metrics", "127.0.0.1:9464", "--proto-max-bulk-len=1000", "--client-query-buffer-limit", "2000"});
    ASSERT_TRUE(std::holds_alternative<kv::server_options>(parsed));
    const auto& options = std::get<kv::server_options>(parsed);
    EXPECT_EQ(options.bind, "0.0.0.0");
    EXPECT_EQ(options.port, 7000);
    EXPECT_EQ(options.workers, 3U);
    EXPECT_EQ(options.max_clients, 50U);
    EXPECT_EQ(options.idle_timeout, 1500ms);
    EXPECT_EQ(options.grace, 0ms);
    EXPECT_EQ(options.metrics, "127.0.0.1:9464");
    EXPECT_EQ(options.max_bulk, 1000U);
    EXPECT_EQ(options.max_query, 2000U);
}

TEST(KvOptions, NoArgumentsMeanTheDefaults) { EXPECT_EQ(std::get<kv::server_options>(parse({})).port, 6379); }

TEST(KvOptions, AMistakeIsNamed) {
    const auto message = [](const auto& arguments) { return std::get<kv::usage_error>(parse(arguments)).message; };
    using arguments = std::vector<std::string_view>;
    EXPECT_EQ(message(arguments{"--nope"}), "unknown option '--nope'");
    EXPECT_EQ(message(arguments{"--port"}), "--port takes a number from 0 to 65535");
    EXPECT_EQ(message(arguments{"--port", "65536"}), "--port takes a number from 0 to 65535, not '65536'");
    EXPECT_EQ(message(arguments{"--workers=0"}), "--workers takes a number from 1 on, not '0'");
    EXPECT_EQ(message(arguments{"--grace", "-1"}), "--grace takes seconds, not '-1'");
    EXPECT_EQ(message(arguments{"--grace", "nan"}), "--grace takes seconds, not 'nan'");
    EXPECT_EQ(message(arguments{"--metrics", "9464"}), "--metrics takes HOST:PORT, not '9464'");
}

TEST(KvOptions, HelpIsNoMistake) {
    EXPECT_TRUE(std::holds_alternative<kv::help_wanted>(parse({"--port", "1", "--help"})));
    EXPECT_NE(kv::usage_text().find("--idle-timeout"), std::string_view::npos);
}

}  // namespace
