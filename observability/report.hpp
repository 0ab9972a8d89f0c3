// What a guardrail found, as text for a terminal and as JSON for a machine. A report always has five parts: what happened,
// where (native stack, async stack, spawn site), why that is wrong, how to fix it and how to silence it.
#pragma once

#include <belay/observability/guardrails.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace belay {

/// A named line: ("syscall", "read(fd=17 -> pipe:[8123])").
struct report_fact {
    std::string name;
    std::string text;
};

struct report_frame {
    std::string function;  ///< "?" when unknown
    std::string place;     ///< "src/user.cpp:41", or the module and offset: "libpq.so.5+0x1f2a0"
    std::string note;      ///< "running here"
    bool guessed = false;  ///< found by scanning the stack: may be a left-over
    std::string build_id{};  ///< of the module, as `file` and debuggers show it; empty when it has none
};

struct report_stack {
    enum class shape : std::uint8_t {
        native,  ///< numbered frames
        async,   ///< frames that await each other, innermost first
        list     ///< places that have no order
    };
    shape form = shape::list;
    std::string title;
    std::vector<report_frame> frames;
};

struct report {
    guardrail kind = guardrail::blocked_worker;
    guardrails::action action = guardrails::action::log;
    std::string runtime;              ///< empty: outside any runtime
    std::uint64_t task_id = 0;        ///< 0: no task, or several
    std::string task_name;

    std::string what;
    std::vector<report_fact> facts;   ///< measured: times, the system call, what waits behind it
    std::vector<report_stack> where;
    std::string spawned;              ///< "src/http.cpp:22 in accept_loop()"
    std::string why;
    std::string fix;
    std::string silence;

    std::uint64_t stack_id = 0;       ///< the same for the same kind at the same place; survives restarts of one binary
    std::uint64_t occurrence = 1;     ///< how often that was seen
    std::uint64_t suppressed = 0;     ///< reports of this kind that were dropped since the last one written

    [[nodiscard]] std::string to_text() const;
    /// One object on one line.
    [[nodiscard]] std::string to_json() const;
};

}  // namespace belay
