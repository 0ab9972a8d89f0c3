// The handlers behind the command table, and the words that they share. Internal to commands*.cpp.
#pragma once

#include "commands.hpp"

#include <string_view>

namespace kv::handlers {

using handler = void(arguments args, const command_context& context);

// commands_string.cpp
handler get, set, append, strlen, incr, decr, incrby, decrby, mget, mset;
// commands_key.cpp
handler del, exists, expire, pexpire, ttl, pttl, persist, keys, type, dbsize, flush;
// commands_server.cpp
handler ping, echo, quit, select, hello, info, config, client, command_info;

inline constexpr std::string_view syntax_error = "ERR syntax error";
inline constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";

// ASCII, whatever the case; `word` is in lower case.
[[nodiscard]] constexpr bool is_word(std::string_view text, std::string_view word) noexcept {
    if (text.size() != word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) != word[i]) return false;
    }
    return true;
}

// An error sentence about the command itself: "ERR invalid expire time in 'set' command".
void fail_arity(reply& out, std::string_view command_name);
void fail_expire_time(reply& out, std::string_view command_name);

// Finds the subcommand args[1] of a container ("config") and runs it, or answers as Redis does if there is none.
void run_subcommand(std::span<const command> table, std::string_view container, arguments args, const command_context& context);

}  // namespace kv::handlers
