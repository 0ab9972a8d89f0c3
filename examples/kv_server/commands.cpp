#include "commands.hpp"

#include "command_handlers.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace kv {
namespace {

using namespace handlers;

constexpr auto table = std::to_array<command>({
    {"append", 3, 1, 1, 1, append},
    {"client", -2, 0, 0, 0, client},
    {"command", -1, 0, 0, 0, command_info},
    {"config", -2, 0, 0, 0, config},
    {"dbsize", 1, 0, 0, 0, dbsize},
    {"decr", 2, 1, 1, 1, decr},
    {"decrby", 3, 1, 1, 1, decrby},
    {"del", -2, 1, -1, 1, del},
    {"echo", 2, 0, 0, 0, echo},
    {"exists", -2, 1, -1, 1, exists},
    {"expire", -3, 1, 1, 1, expire},
    {"flushall", -1, 0, 0, 0, flush},
    {"flushdb", -1, 0, 0, 0, flush},
    {"get", 2, 1, 1, 1, get},
    {"hello", -1, 0, 0, 0, hello},
    {"incr", 2, 1, 1, 1, incr},
    {"incrby", 3, 1, 1, 1, incrby},
    {"info", -1, 0, 0, 0, info},
    {"keys", 2, 0, 0, 0, keys},
    {"mget", -2, 1, -1, 1, mget},
    {"mset", -3, 1, -1, 2, mset},
    {"persist", 2, 1, 1, 1, persist},
    {"pexpire", -3, 1, 1, 1, pexpire},
    {"ping", -1, 0, 0, 0, ping},
    {"pttl", 2, 1, 1, 1, pttl},
    {"quit", -1, 0, 0, 0, quit},
    {"select", 2, 0, 0, 0, kv::handlers::select},
    {"set", -3, 1, 1, 1, set},
    {"strlen", 2, 1, 1, 1, kv::handlers::strlen},
    {"ttl", 2, 1, 1, 1, ttl},
    {"type", 2, 1, 1, 1, type},
});

constexpr std::size_t longest_name = 8;

struct folded_name {
    std::array<char, longest_name> text{};
    std::size_t size = 0;
    std::uint32_t hash = 0;
};

// Lower case and hash in one pass; `name` fits.
constexpr folded_name fold(std::string_view name) noexcept {
    folded_name folded;
    folded.hash = 2166136261U;
    folded.size = std::min(name.size(), longest_name);  // GCC 14 does not see that it fits, and warns of an overflow
    for (std::size_t i = 0; i < folded.size; ++i) {
        const char c = name[i];
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        folded.text[i] = lower;
        folded.hash = (folded.hash ^ static_cast<unsigned char>(lower)) * 16777619U;
    }
    return folded;
}

// Open addressing, built by the compiler: slot -> index in the table + 1, or 0.
constexpr std::size_t slots = 128;
constexpr auto slot_table = [] {
    std::array<std::uint8_t, slots> result{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        std::size_t slot = fold(table[i].name).hash % slots;
        while (result[slot] != 0) slot = (slot + 1) % slots;
        result[slot] = static_cast<std::uint8_t>(i + 1);
    }
    return result;
}();

const command* find_command(std::string_view name) noexcept {
    if (name.size() > longest_name) return nullptr;
    const folded_name folded = fold(name);
    const std::string_view lower(folded.text.data(), folded.size);
    for (std::size_t slot = folded.hash % slots; slot_table[slot] != 0; slot = (slot + 1) % slots) {
        const command& candidate = table[slot_table[slot] - 1U];
        if (candidate.name == lower) return &candidate;
    }
    return nullptr;
}

bool accepts(const command& found, std::size_t count) noexcept {
    return found.arity >= 0 ? count == static_cast<std::size_t>(found.arity) : count >= static_cast<std::size_t>(-found.arity);
}

void fail_unknown(arguments args, reply& out) {
    constexpr std::size_t longest = 128;
    std::string message = "ERR unknown command '";
    message.append(args[0].substr(0, longest)).append("', with args beginning with: ");
    std::string shown;
    for (const std::string_view arg : args.subspan(1)) {
        if (shown.size() >= longest) break;
        const std::size_t room = longest - shown.size();
        shown.append("'").append(arg.substr(0, room)).append("' ");
    }
    out.error(message.append(shown));
}

}  // namespace

std::span<const command> all_commands() noexcept { return table; }

void execute(arguments args, const command_context& context) {
    ++context.who.commands;
    const command* const found = find_command(args[0]);
    if (!found) return fail_unknown(args, context.out);
    if (!accepts(*found, args.size())) return fail_arity(context.out, found->name);
    found->run(args, context);
}

namespace handlers {

void fail_arity(reply& out, std::string_view command_name) {
    out.error(std::string("ERR wrong number of arguments for '").append(command_name).append("' command"));
}

void fail_expire_time(reply& out, std::string_view command_name) {
    out.error(std::string("ERR invalid expire time in '").append(command_name).append("' command"));
}

void run_subcommand(std::span<const command> subcommands, std::string_view container, arguments args,
                    const command_context& context) {
    const auto found = std::ranges::find_if(
        subcommands, [&](const command& candidate) { return is_word(args[1], candidate.name.substr(container.size() + 1)); });
    if (found == subcommands.end()) {
        std::string upper(container);
        std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(c - ('a' - 'A')); });
        std::string message = "ERR unknown subcommand '";
        return context.out.error(message.append(args[1].substr(0, 128)).append("'. Try ").append(upper).append(" HELP."));
    }
    if (!accepts(*found, args.size())) return fail_arity(context.out, found->name);
    found->run(args, context);
}

}  // namespace handlers
}  // namespace kv
