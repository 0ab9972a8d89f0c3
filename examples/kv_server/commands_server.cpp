// PING ECHO QUIT SELECT HELLO INFO CONFIG CLIENT COMMAND
#include "command_handlers.hpp"
#include "glob.hpp"
#include "number.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace kv::handlers {
namespace {

constexpr std::string_view compatible_version = "7.0.15";  // of Redis: what clients adapt themselves to

bool is_printable(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// False if an error was answered.
bool set_name(std::string_view name, const command_context& context) {
    if (!is_printable(name)) {
        context.out.error("ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    context.who.name = name;
    return true;
}

void config_get(arguments args, const command_context& context) {
    const auto patterns = args.subspan(2);
    reply found;
    std::size_t count = 0;
    for (const auto& [name, text] : context.server.config) {
        const auto pattern =
            std::ranges::find_if(patterns, [&](std::string_view one) { return glob_match(one, name, letter_case::ignored); });
        if (pattern == patterns.end()) continue;
        found.bulk(is_word(*pattern, name) ? *pattern : name);  // as Redis: a name comes back as it was written
        found.bulk(text);
        count += 2;
    }
    context.out.array(count);
    context.out.raw(found.bytes());
}

void client_id(arguments, const command_context& context) { context.out.integer(static_cast<std::int64_t>(context.who.id)); }

void client_getname(arguments, const command_context& context) {
    if (context.who.name.empty()) return context.out.null();
    context.out.bulk(context.who.name);
}

void client_setname(arguments args, const command_context& context) {
    if (set_name(args[2], context)) context.out.ok();
}

void client_setinfo(arguments args, const command_context& context) {
    if (!is_word(args[2], "lib-name") && !is_word(args[2], "lib-ver")) {
        return context.out.error(std::string("ERR Unrecognized option '").append(args[2]).append("'"));
    }
    if (is_printable(args[3])) return context.out.ok();
    context.out.error(std::string("ERR ").append(args[2]).append(" cannot contain spaces, newlines or special characters."));
}

// Minimal: the connection that asks.
void client_list(arguments, const command_context& context) {
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(context.now - context.who.since).count();
    std::string line = "id=" + std::to_string(context.who.id);
    line.append(" addr=").append(context.who.peer).append(" name=").append(context.who.name);
    line.append(" age=" + std::to_string(age)).append(" db=0 resp=2\n");
    context.out.bulk(line);
}

void command_count(arguments, const command_context& context) {
    context.out.integer(static_cast<std::int64_t>(all_commands().size()));
}

void command_docs(arguments, const command_context& context) { context.out.array(0); }

void command_list(const command_context& context) {
    context.out.array(all_commands().size());
    for (const command& one : all_commands()) {
        context.out.array(6);
        context.out.bulk(one.name);
        context.out.integer(one.arity);
        context.out.array(0);  // flags
        context.out.integer(one.first_key);
        context.out.integer(one.last_key);
        context.out.integer(one.key_step);
    }
}

constexpr auto config_commands = std::to_array<command>({
    {"config|get", -3, 0, 0, 0, config_get},
});

constexpr auto client_commands = std::to_array<command>({
    {"client|getname", 2, 0, 0, 0, client_getname},
    {"client|id", 2, 0, 0, 0, client_id},
    {"client|list", -2, 0, 0, 0, client_list},
    {"client|setinfo", 4, 0, 0, 0, client_setinfo},
    {"client|setname", 3, 0, 0, 0, client_setname},
});

constexpr auto command_commands = std::to_array<command>({
    {"command|count", 2, 0, 0, 0, command_count},
    {"command|docs", -2, 0, 0, 0, command_docs},
});

class info_text {
public:
    void section(std::string_view name) { text_.append(text_.empty() ? "# " : "\r\n# ").append(name).append("\r\n"); }
    void line(std::string_view name, std::string_view text) { text_.append(name).append(":").append(text).append("\r\n"); }
    void line(std::string_view name, std::uint64_t number) { line(name, std::to_string(number)); }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

void describe_server(info_text& text, const command_context& context) {
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(context.now - context.server.started);
    text.line("redis_version", compatible_version);
    text.line("server_name", "belay-kv");
    text.line("process_id", static_cast<std::uint64_t>(::getpid()));
    text.line("tcp_port", context.server.port);
    text.line("uptime_in_seconds", static_cast<std::uint64_t>(std::max<std::int64_t>(uptime.count(), 0)));
}

void describe_clients(info_text& text, const command_context& context) {
    text.line("connected_clients", context.server.connections_now.load(std::memory_order_relaxed));
    text.line("maxclients", context.server.max_clients);
    text.line("blocked_clients", 0);  // no command blocks; redis-cli --stat asks for it
}

void describe_memory(info_text& text, const command_context& context) {
    const std::uint64_t bytes = context.data.usage().bytes;
    text.line("used_memory", bytes);  // approximately, and of the data alone
    text.line("used_memory_dataset", bytes);
}

void describe_stats(info_text& text, const command_context& context) {
    text.line("total_connections_received", context.server.connections_total.load(std::memory_order_relaxed));
    text.line("total_commands_processed", context.server.commands_total.load(std::memory_order_relaxed));
    text.line("total_net_input_bytes", context.server.bytes_received.load(std::memory_order_relaxed));
    text.line("rejected_connections", context.server.connections_rejected.load(std::memory_order_relaxed));
    text.line("expired_keys", context.data.usage().expired);
}

void describe_keyspace(info_text& text, const command_context& context) {
    const store_usage usage = context.data.usage();
    if (usage.keys == 0) return;
    text.line("db0", "keys=" + std::to_string(usage.keys) + ",expires=" + std::to_string(usage.expiring) + ",avg_ttl=0");
}

struct info_section {
    std::string_view word;
    std::string_view title;
    void (*describe)(info_text& text, const command_context& context);
};

constexpr info_section info_sections[] = {
    {"server", "Server", describe_server}, {"clients", "Clients", describe_clients},    {"memory", "Memory", describe_memory},
    {"stats", "Stats", describe_stats},    {"keyspace", "Keyspace", describe_keyspace},
};

bool is_asked_for(const info_section& section, arguments words) {
    return words.empty() || std::ranges::any_of(words, [&](std::string_view word) {
               return is_word(word, section.word) || is_word(word, "all") || is_word(word, "everything") ||
                      is_word(word, "default");
           });
}

void greet(const command_context& context) {
    reply& out = context.out;
    out.array(14);
    out.bulk("server"), out.bulk("belay-kv");
    out.bulk("version"), out.bulk(compatible_version);
    out.bulk("proto"), out.integer(2);
    out.bulk("id"), out.integer(static_cast<std::int64_t>(context.who.id));
    out.bulk("mode"), out.bulk("standalone");
    out.bulk("role"), out.bulk("master");
    out.bulk("modules"), out.array(0);
}

}  // namespace

void ping(arguments args, const command_context& context) {
    if (args.size() > 2) return fail_arity(context.out, "ping");
    if (args.size() == 2) return context.out.bulk(args[1]);
    context.out.simple("PONG");
}

void echo(arguments args, const command_context& context) { context.out.bulk(args[1]); }

void quit(arguments, const command_context& context) {
    context.who.quit = true;
    context.out.ok();
}

void select(arguments args, const command_context& context) {
    const auto index = parse_integer(args[1]);
    if (!index) return context.out.error(not_an_integer);
    if (*index != 0) return context.out.error("ERR DB index is out of range");
    context.out.ok();
}

void hello(arguments args, const command_context& context) {
    if (args.size() >= 2) {
        const auto version = parse_integer(args[1]);
        if (!version) return context.out.error("ERR Protocol version is not an integer or out of range");
        if (*version != 2) return context.out.error("NOPROTO unsupported protocol version");
    }
    for (std::size_t i = 2; i < args.size(); i += 2) {
        if (!is_word(args[i], "setname") || i + 1 == args.size()) {
            return context.out.error(std::string("ERR Syntax error in HELLO option '").append(args[i]).append("'"));
        }
        if (!set_name(args[i + 1], context)) return;
    }
    greet(context);
}

void info(arguments args, const command_context& context) {
    info_text text;
    for (const info_section& section : info_sections) {
        if (!is_asked_for(section, args.subspan(1))) continue;
        text.section(section.title);
        section.describe(text, context);
    }
    context.out.bulk(text.text());
}

void config(arguments args, const command_context& context) { run_subcommand(config_commands, "config", args, context); }
void client(arguments args, const command_context& context) { run_subcommand(client_commands, "client", args, context); }

void command_info(arguments args, const command_context& context) {
    if (args.size() == 1) return command_list(context);
    run_subcommand(command_commands, "command", args, context);
}

}  // namespace kv::handlers
