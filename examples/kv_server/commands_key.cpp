// DEL EXISTS EXPIRE PEXPIRE TTL PTTL PERSIST KEYS TYPE DBSIZE FLUSHALL FLUSHDB
#include "command_handlers.hpp"
#include "glob.hpp"
#include "number.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace kv::handlers {
namespace {

// The words after EXPIRE key time; nothing if an error was answered.
std::optional<expiry_condition> read_condition(arguments words, reply& out) {
    auto condition = expiry_condition::none;
    for (const std::string_view word : words) {
        if (is_word(word, "nx")) {
            condition = condition | expiry_condition::if_without;
        } else if (is_word(word, "xx")) {
            condition = condition | expiry_condition::if_with;
        } else if (is_word(word, "gt")) {
            condition = condition | expiry_condition::if_later;
        } else if (is_word(word, "lt")) {
            condition = condition | expiry_condition::if_sooner;
        } else {
            out.error(std::string("ERR Unsupported option ").append(word));
            return std::nullopt;
        }
    }
    const bool later = has(condition, expiry_condition::if_later);
    const bool sooner = has(condition, expiry_condition::if_sooner);
    if (has(condition, expiry_condition::if_without) && (has(condition, expiry_condition::if_with) || later || sooner)) {
        out.error("ERR NX and XX, GT or LT options at the same time are not compatible");
        return std::nullopt;
    }
    if (later && sooner) {
        out.error("ERR GT and LT options at the same time are not compatible");
        return std::nullopt;
    }
    return condition;
}

void expire_in(arguments args, std::int64_t per_unit, std::string_view name, const command_context& context) {
    const auto condition = read_condition(args.subspan(3), context.out);
    if (!condition) return;
    const auto amount = parse_integer(args[2]);
    if (!amount) return context.out.error(not_an_integer);
    using limits = std::numeric_limits<std::int64_t>;
    const std::int64_t base = context.now.time_since_epoch().count();
    if (*amount > limits::max() / per_unit || *amount < limits::min() / per_unit || *amount * per_unit > limits::max() - base) {
        return fail_expire_time(context.out, name);
    }
    const time_point expires_at{std::chrono::milliseconds(base + *amount * per_unit)};
    context.out.integer(context.data.expire(args[1], expires_at, *condition, context.now) ? 1 : 0);
}

// -2: no such key; -1: it does not expire.
void time_left(std::string_view key, std::int64_t per_unit, const command_context& context) {
    const auto expires_at = context.data.expiry(key, context.now);
    if (!expires_at) return context.out.integer(-2);
    if (*expires_at == never) return context.out.integer(-1);
    const std::int64_t left = (*expires_at - context.now).count();
    context.out.integer(left / per_unit + (left % per_unit * 2 >= per_unit ? 1 : 0));
}

}  // namespace

void del(arguments args, const command_context& context) {
    context.out.integer(static_cast<std::int64_t>(context.data.erase(args.subspan(1), context.now)));
}

void exists(arguments args, const command_context& context) {
    context.out.integer(static_cast<std::int64_t>(context.data.count(args.subspan(1), context.now)));
}

void expire(arguments args, const command_context& context) { expire_in(args, 1000, "expire", context); }
void pexpire(arguments args, const command_context& context) { expire_in(args, 1, "pexpire", context); }
void ttl(arguments args, const command_context& context) { time_left(args[1], 1000, context); }
void pttl(arguments args, const command_context& context) { time_left(args[1], 1, context); }

void persist(arguments args, const command_context& context) {
    context.out.integer(context.data.persist(args[1], context.now) ? 1 : 0);
}

void keys(arguments args, const command_context& context) {
    reply found(context.out.room());  // the count comes first, and is known last
    std::size_t count = 0;
    context.data.for_each_key(context.now, [&](std::string_view key) {
        if (!glob_match(args[1], key)) return;
        found.bulk(key);
        ++count;
    });
    if (found.overflowed()) return context.out.overflow();
    context.out.array(count);
    context.out.raw(found.bytes());
}

void type(arguments args, const command_context& context) {
    context.out.simple(context.data.length(args[1], context.now) ? "string" : "none");
}

void dbsize(arguments, const command_context& context) { context.out.integer(static_cast<std::int64_t>(context.data.size())); }

void flush(arguments args, const command_context& context) {
    if (args.size() > 2 || (args.size() == 2 && !is_word(args[1], "async") && !is_word(args[1], "sync"))) {
        return context.out.error(syntax_error);
    }
    context.data.clear();
    context.out.ok();
}

}  // namespace kv::handlers
