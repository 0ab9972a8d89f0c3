// GET SET APPEND STRLEN INCR DECR INCRBY DECRBY MGET MSET
#include "command_handlers.hpp"
#include "number.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace kv::handlers {
namespace {

enum class expiry_unit { seconds, milliseconds };
enum class expiry_base { now, epoch };

// What SET was asked for, before the number behind EX and its like is read.
struct set_words {
    set_request request;
    std::optional<std::string_view> expiry{};
    expiry_unit unit = expiry_unit::seconds;
    expiry_base base = expiry_base::now;
};

struct expiry_word {
    std::string_view word;
    expiry_unit unit;
    expiry_base base;
};

constexpr expiry_word expiry_words[] = {
    {"ex", expiry_unit::seconds, expiry_base::now},
    {"px", expiry_unit::milliseconds, expiry_base::now},
    {"exat", expiry_unit::seconds, expiry_base::epoch},
    {"pxat", expiry_unit::milliseconds, expiry_base::epoch},
};

const expiry_word* find_expiry_word(std::string_view text) noexcept {
    for (const expiry_word& one : expiry_words) {
        if (is_word(text, one.word)) return &one;
    }
    return nullptr;
}

// Nothing for words that SET does not know, or that exclude each other.
std::optional<set_words> read_set_words(arguments args) {
    set_words words{.request = {.key = args[1], .value = args[2]}};
    set_request& request = words.request;
    for (std::size_t i = 3; i < args.size(); ++i) {
        const std::string_view word = args[i];
        if (is_word(word, "nx") && request.condition != set_condition::if_present) {
            request.condition = set_condition::if_absent;
        } else if (is_word(word, "xx") && request.condition != set_condition::if_absent) {
            request.condition = set_condition::if_present;
        } else if (is_word(word, "get")) {
            request.want_old = true;
        } else if (is_word(word, "keepttl") && !words.expiry) {
            request.keep_expiry = true;
        } else if (const auto* found = find_expiry_word(word);
                   found && !words.expiry && !request.keep_expiry && i + 1 < args.size()) {
            words.expiry = args[++i];
            words.unit = found->unit;
            words.base = found->base;
        } else {
            return std::nullopt;
        }
    }
    return words;
}

// False if an error was answered.
bool read_expiry(set_words& words, const command_context& context) {
    if (!words.expiry) return true;
    const auto amount = parse_integer(*words.expiry);
    if (!amount) {
        context.out.error(not_an_integer);
        return false;
    }
    constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
    const std::int64_t per_unit = words.unit == expiry_unit::seconds ? 1000 : 1;
    const std::int64_t base = words.base == expiry_base::now ? context.now.time_since_epoch().count() : 0;
    if (*amount <= 0 || *amount > max / per_unit || *amount * per_unit > max - base) {
        fail_expire_time(context.out, "set");
        return false;
    }
    words.request.expires_at = time_point(std::chrono::milliseconds(*amount * per_unit + base));
    return true;
}

void add(std::string_view key, std::int64_t delta, const command_context& context) {
    const add_result result = context.data.add(key, delta, context.now);
    switch (result.status) {
    case add_status::done: return context.out.integer(result.value);
    case add_status::not_an_integer: return context.out.error(not_an_integer);
    case add_status::overflow: return context.out.error("ERR increment or decrement would overflow");
    }
}

}  // namespace

void get(arguments args, const command_context& context) {
    const bool found = context.data.get(args[1], context.now, [&](const value& held) { context.out.bulk(held); });
    if (!found) context.out.null();
}

void set(arguments args, const command_context& context) {
    if (args.size() == 3) {
        context.data.set({.key = args[1], .value = args[2]}, context.now);
        return context.out.ok();
    }
    auto words = read_set_words(args);
    if (!words) return context.out.error(syntax_error);
    if (!read_expiry(*words, context)) return;
    const set_result result = context.data.set(words->request, context.now);
    if (result.old) return context.out.bulk(*result.old);
    if (words->request.want_old || !result.stored) return context.out.null();
    context.out.ok();
}

void append(arguments args, const command_context& context) {
    const auto size = context.data.append(args[1], args[2], context.server.max_value, context.now);
    if (!size) return context.out.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    context.out.integer(static_cast<std::int64_t>(*size));
}

void strlen(arguments args, const command_context& context) {
    context.out.integer(static_cast<std::int64_t>(context.data.length(args[1], context.now).value_or(0)));
}

void incr(arguments args, const command_context& context) { add(args[1], 1, context); }
void decr(arguments args, const command_context& context) { add(args[1], -1, context); }

void incrby(arguments args, const command_context& context) {
    const auto delta = parse_integer(args[2]);
    if (!delta) return context.out.error(not_an_integer);
    add(args[1], *delta, context);
}

void decrby(arguments args, const command_context& context) {
    const auto delta = parse_integer(args[2]);
    if (!delta) return context.out.error(not_an_integer);
    if (*delta == std::numeric_limits<std::int64_t>::min()) return context.out.error("ERR decrement would overflow");
    add(args[1], -*delta, context);
}

void mget(arguments args, const command_context& context) {
    const auto keys = args.subspan(1);
    context.out.array(keys.size());
    const bool fits = context.data.get_many(keys, context.out.room(), context.now, [&](const value* held) {
        if (held) {
            context.out.bulk(*held);
        } else {
            context.out.null();
        }
    });
    if (!fits) context.out.overflow();
}

void mset(arguments args, const command_context& context) {
    if (args.size() % 2 == 0) return fail_arity(context.out, "mset");
    context.data.set_many(args.subspan(1), context.now);
    context.out.ok();
}

}  // namespace kv::handlers
