// The commands: a table of name, arity and handler, and the dispatch through it with Redis' own error sentences.
//
//     kv::execute(result.args, {.data = store, .who = session, .out = reply, .now = now, .server = status});
#pragma once

#include "reply.hpp"
#include "session.hpp"
#include "store.hpp"

#include <cstddef>
#include <span>
#include <string_view>

namespace kv {

using arguments = std::span<const std::string_view>;  // the command's name is the first

struct command_context {
    store& data;
    session& who;
    reply& out;
    time_point now;
    const server_status& server;
};

// Appends exactly one reply. Needs at least one argument. Throws only std::bad_alloc.
void execute(arguments args, const command_context& context);

struct command {
    std::string_view name;  // lower case; "config|get" for a subcommand
    int arity;              // with the name; -n: at least n
    int first_key;
    int last_key;           // -1: the last argument
    int key_step;
    void (*run)(arguments args, const command_context& context);
};

// All commands, without subcommands.
[[nodiscard]] std::span<const command> all_commands() noexcept;

}  // namespace kv
