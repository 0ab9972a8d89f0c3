// A task that suspended, or ended, with synchronous locks in its hands: which of its functions took them, and where that waits.
#include <belay/observability/impl/event_reports.hpp>
#include <belay/observability/impl/source_text.hpp>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace belay::detail {
namespace {

/// "(int, f(char))" of "g(int, f(char)) const": its length, from the opening bracket on.
std::size_t bracket_length(std::string_view text) {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
        if (depth == 0) return i + 1;
    }
    return text.size();
}

/// A lambda is called "$_0::operator()", "{lambda(int)#1}::operator()", "<lambda(int)>" or "lambda" by those who name functions. One function
/// may have several: none of them says which it is.
void rename_lambdas(std::string& name) {
    for (std::string_view begin : {"::$_", "::{lambda", "::'lambda", "::<lambda"}) {
        for (auto at = name.find(begin); at != std::string::npos; at = name.find(begin, at + 1)) {
            auto end = std::min(name.size(), name.find("::", at + 2));
            name.replace(at, end - at, "::lambda");
        }
    }
    constexpr std::string_view call = "lambda::operator()";
    for (auto at = name.find(call); at != std::string::npos; at = name.find(call)) name.replace(at, call.size(), "lambda");
}

/// "<int, f<char>>" of "g<int, f<char>>::h": its length, from the opening bracket on; 0 if it is none: an operator, or a lambda.
std::size_t arguments_length(std::string_view name, std::string_view text) {
    if (name.ends_with("operator") || name.ends_with("operator<") || text.starts_with("<lambda")) return 0;
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '(') {
            i += bracket_length(text.substr(i)) - 1;
            continue;
        }
        bool arrow = i != 0 && text[i - 1] == '-';
        depth += text[i] == '<' ? 1 : text[i] == '>' && !arrow ? -1 : 0;
        if (depth == 0) return i + 1;
    }
    return 0;
}

/// Without result, template arguments, parameters and blanks: what a symbol and a source location say alike of a function.
std::string plain_name(std::string_view function) {
    std::string text = function_text(function);
    std::string name;
    std::size_t end = 0;  // of the name; behind it there may be a "const"
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] == '<') {
            if (std::size_t length = arguments_length(name, std::string_view{text}.substr(i)); length != 0) {
                i += length;
                continue;
            }
        }
        if (text[i] != '(') {
            if (text[i] != ' ') name += text[i];
            ++i;
            continue;
        }
        if (name.ends_with("operator") && text.compare(i, 2, "()") == 0) {
            name += "()";
            i += 2;
        } else {
            i += bracket_length(std::string_view{text}.substr(i));
        }
        end = name.size();
    }
    if (end != 0) name.resize(end);
    rename_lambdas(name);
    return name;
}

bool is_place_in(const std::source_location& frame, const std::source_location& site) noexcept {
    return std::string_view{frame.file_name()} == site.file_name() &&
           std::string_view{frame.function_name()} == site.function_name();
}

/// Which frame of the task took the lock; its depth if that cannot be seen. Of several of one name, as of two lambdas in one function, it
/// is the one that waits soonest behind the lock's line.
std::size_t frame_with_site(const task_snapshot& task, const std::source_location& site) noexcept {
    std::size_t found = task.depth;
    // Wraps around: what waits in front of it is farthest.
    auto lines_behind = [&](std::size_t i) { return task.stack[i].line() - site.line(); };
    for (std::size_t i = 0; i < task.depth; ++i)
        if (is_place_in(task.stack[i], site) && (found == task.depth || lines_behind(i) < lines_behind(found))) found = i;
    return found;
}

/// "a::b" -> "b": a source location names types as they stand in the source.
void drop_qualifiers(std::string& types) {
    auto in_name = [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; };
    for (auto at = types.find("::"); at != std::string::npos; at = types.find("::")) {
        auto begin = at;
        while (begin != 0 && in_name(types[begin - 1])) --begin;
        types.erase(begin, at + 2 - begin);
    }
}

/// The characters of the last parameter list, in order: "char const*" and "const char *" are the same type.
std::string parameter_characters(std::string_view function) {
    std::string text = function_text(function);
    std::string found;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '(') continue;
        auto length = bracket_length(std::string_view{text}.substr(i));
        if (length > 2 || found.empty()) found = text.substr(i, length);  // not the () of an operator()
        i += length - 1;
    }
    drop_qualifiers(found);
    std::erase(found, ' ');
    std::ranges::sort(found);
    return found;
}

/// The same where only the callers are known: those that the innermost of them may be that is a frame at all. More than one when it has
/// called itself, or when overloads of it cannot be told apart.
std::vector<std::size_t> frames_with_caller(const task_snapshot& task, std::span<const report_frame> callers) {
    std::vector<std::size_t> found;
    for (const auto& caller : callers) {
        auto name = plain_name(caller.function);
        for (std::size_t i = 0; i < task.depth; ++i)
            if (plain_name(task.stack[i].function_name()) == name) found.push_back(i);
        if (found.size() > 1) {
            auto parameters = parameter_characters(caller.function);
            auto others = [&](std::size_t i) { return parameter_characters(task.stack[i].function_name()) != parameters; };
            if (!std::ranges::all_of(found, others)) std::erase_if(found, others);
        }
        if (!found.empty()) break;
    }
    return found;
}

/// "line 12 and line 31 of close(session&)": where the frames that took the locks wait.
std::string suspension_text(const task_snapshot& task, std::vector<std::size_t> frames) {
    std::ranges::sort(frames);
    frames.erase(std::ranges::unique(frames).begin(), frames.end());
    std::string text;
    for (std::size_t i : frames) {
        if (!text.empty()) text += " and ";
        text += "line " + std::to_string(task.stack[i].line());
        if (i != 0) text += " of " + function_text(task.stack[i].function_name());
    }
    return text;
}

std::string locks_text(std::size_t known) {
    return known != 0 ? counted(known, "synchronous lock", "synchronous locks") : "synchronous locks, too many to know them";
}

}  // namespace

report describe_held_locks(const task_snapshot& task, std::span<const held_lock> locks) {
    report r;
    r.kind = guardrail::guard_across_suspension;
    r.task_id = task.id;
    r.task_name = task.name.data();
    bool ended = std::string_view{task.waiting_on} == "ended";
    r.what = task_text(task) + (ended ? " ended while it held " : " suspended while it held ") + locks_text(locks.size());
    report_stack held{report_stack::shape::list, "locked at", {}};
    std::vector<std::size_t> frames;
    bool all_seen = true;
    for (const auto& lock : locks) {
        auto before = frames.size();
        if (lock.site.line() == 0) {
            r.where.push_back(callers_text("lock " + address_text(lock.lock) + " was locked at", lock.callers));
            std::ranges::copy(frames_with_caller(task, r.where.back().frames), std::back_inserter(frames));
        } else {
            held.frames.push_back(
                {function_text(lock.site.function_name()), place_text(lock.site), "lock " + address_text(lock.lock), false});
            if (auto frame = frame_with_site(task, lock.site); frame != task.depth) frames.push_back(frame);
        }
        all_seen = all_seen && frames.size() != before;
    }
    if (!held.frames.empty()) r.where.push_back(std::move(held));
    if (task.depth != 0 || r.where.empty())
        r.where.push_back(async_stack(task, ended ? "ended; awaited here last, or was made here" : "suspended here"));
    r.spawned = site_text(task.spawned);
    r.why =
        "the task may resume on another thread, where unlocking is undefined behaviour; and until then every worker that\n"
        "wants this lock blocks, perhaps the one that has to resume the task.";
    std::string end = "the next co_await";
    if (ended) {
        end = "the task ends";
    } else if (all_seen && !frames.empty()) {
        end = suspension_text(task, std::move(frames));
    }
    r.fix = "end the guard's scope before " + end +
            "; or protect the data with belay::sync_guarded, which no co_await can get\n"
            "into; or use belay::mutex, which may be held across co_await.";
    r.silence = "BELAY_GUARDRAILS=lock=log or lock=off";
    return r;
}

}  // namespace belay::detail
