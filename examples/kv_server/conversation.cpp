#include "conversation.hpp"

#include "commands.hpp"

#include <string>
#include <utility>

namespace kv {

conversation::conversation(store& data, server_status& status, session who, conversation_options options)
    : data_(data), status_(status), who_(std::move(who)), options_(options), parser_(options.limits), out_(options.max_reply) {}

turn conversation::run(time_point now) {
    const std::uint64_t before = who_.commands;
    const turn result = run_commands(now);
    status_.commands_total.fetch_add(who_.commands - before, std::memory_order_relaxed);
    if (!out_.overflowed()) return result;
    out_.clear();  // there is a hole in it
    return {next_step::close};
}

turn conversation::run_commands(time_point now) {
    const command_context context{.data = data_, .who = who_, .out = out_, .now = now, .server = status_};
    for (;;) {
        const parse_result parsed = parser_.parse(buffer_.unconsumed());
        switch (parsed.status) {
        case parse_status::need_more: buffer_.consume(parsed.consumed); return {next_step::read, parsed.wanted};
        case parse_status::protocol_error: out_.error(std::string("ERR ").append(parsed.error)); return {next_step::close};
        case parse_status::command: break;
        }
        execute(parsed.args, context);
        buffer_.consume(parsed.consumed);
        if (who_.quit || out_.overflowed()) return {next_step::close};
        if (out_.size() >= options_.flush_at) return {next_step::again};
    }
}

}  // namespace kv
