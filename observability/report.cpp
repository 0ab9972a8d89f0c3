#include <belay/observability/report.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace belay {
namespace {

constexpr std::size_t function_column = 40;

std::string title_of(guardrail kind) {
    std::string title{to_string(kind)};
    std::ranges::replace(title, '_', '-');
    return title;
}

void pad_to(std::string& line, std::size_t column) { line.append(line.size() < column ? column - line.size() : 2, ' '); }

void add_frame(std::string& out, const report_frame& frame, report_stack::shape form, std::size_t index) {
    std::string line = "    ";
    if (form == report_stack::shape::native) {
        line += "#" + std::to_string(index);
        pad_to(line, 8);
        line += frame.guessed ? "? " : "  ";
    } else if (form == report_stack::shape::async && index > 0) {
        line += "<- ";
    }
    line += frame.function;
    if (!frame.place.empty()) {
        pad_to(line, function_column);
        line += frame.place;
    }
    if (!frame.note.empty()) line += "   " + frame.note;
    out += line + "\n";
}

// A part whose text has several lines keeps them below each other.
void add_part(std::string& out, std::string_view name, std::string_view text) {
    std::string indent(name.size() + 4, ' ');
    out.append("  ").append(name).append(": ");
    while (!text.empty()) {
        auto end = text.find('\n');
        out.append(text.substr(0, end)).append("\n");
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (!text.empty()) out += indent;
    }
}

std::string hex(std::uint64_t value) {
    std::array<char, 16> digits{};
    auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    std::string result(digits.data(), end);
    return std::string(16 - result.size(), '0') + result;
}

std::string history(const report& r) {
    std::string text = "stack id " + hex(r.stack_id);
    text += r.occurrence == 1 ? ", first occurrence" : ", occurrence " + std::to_string(r.occurrence);
    if (r.suppressed > 0) text += ", " + std::to_string(r.suppressed) + " reports of this kind suppressed before it";
    return text;
}

// "app+0x1f2a0" is of the module "app".
std::string_view module_of(std::string_view place) noexcept { return place.substr(0, place.rfind("+0x")); }

// Of each module once: what scripts/symbolize compares with the file that it reads.
void add_build_ids(std::string& out, const std::vector<report_stack>& where) {
    std::vector<std::string_view> known;
    std::string line;
    for (const auto& stack : where) {
        for (const auto& frame : stack.frames) {
            auto module = module_of(frame.place);
            if (frame.build_id.empty() || std::ranges::find(known, module) != known.end()) continue;
            known.push_back(module);
            line.append(line.empty() ? "" : ", ").append(module).append(" ").append(frame.build_id);
        }
    }
    if (!line.empty()) out += "  build ids: " + line + "\n";
}

}  // namespace

std::string report::to_text() const {
    std::string out = "belay: ";
    out += action == guardrails::action::panic ? "PANIC" : "WARN";
    out.append(" [").append(title_of(kind)).append("] ").append(what).append("\n");
    std::size_t widest = 0;
    for (const auto& fact : facts) widest = std::max(widest, fact.name.size());
    for (const auto& fact : facts) {
        std::string line = "  " + fact.name;
        pad_to(line, widest + 6);
        out += line + fact.text + "\n";
    }
    for (const auto& stack : where) {
        out += "  " + stack.title + "\n";
        for (std::size_t i = 0; i < stack.frames.size(); ++i) add_frame(out, stack.frames[i], stack.form, i);
    }
    if (!spawned.empty()) out += "  spawned at " + spawned + "\n";
    add_part(out, "why", why);
    add_part(out, "fix", fix);
    add_part(out, "silence", silence);
    add_build_ids(out, where);
    out += "  " + history(*this) + "\n";
    return out;
}

namespace {

void add_string(std::string& out, std::string_view text) {
    out += '"';
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.append({'\\', c});
        } else if (c == '\n') {
            out += "\\n";
        } else if (byte < 0x20) {
            constexpr std::string_view digits = "0123456789abcdef";
            out.append("\\u00").append({digits[byte >> 4U], digits[byte & 15U]});
        } else {
            out += c;
        }
    }
    out += '"';
}

void add_member(std::string& out, std::string_view name, std::string_view text) {
    if (out.back() != '{') out += ',';
    add_string(out, name);
    out += ':';
    add_string(out, text);
}

void add_number(std::string& out, std::string_view name, std::uint64_t value) {
    if (out.back() != '{') out += ',';
    add_string(out, name);
    out.append(":").append(std::to_string(value));
}

void add_stack(std::string& out, const report_stack& stack) {
    constexpr std::array<std::string_view, 3> forms{"native", "async", "list"};
    out += '{';
    add_member(out, "form", forms[static_cast<std::size_t>(stack.form)]);
    add_member(out, "title", stack.title);
    out += ",\"frames\":[";
    for (const auto& frame : stack.frames) {
        if (&frame != stack.frames.data()) out += ',';
        out += '{';
        add_member(out, "function", frame.function);
        add_member(out, "place", frame.place);
        if (!frame.note.empty()) add_member(out, "note", frame.note);
        if (!frame.build_id.empty()) add_member(out, "build_id", frame.build_id);
        out.append(",\"guessed\":").append(frame.guessed ? "true" : "false").append("}");
    }
    out += "]}";
}

}  // namespace

std::string report::to_json() const {
    std::string out = "{";
    add_member(out, "kind", to_string(kind));
    add_member(out, "action", to_string(action));
    add_member(out, "runtime", runtime);
    add_member(out, "task_id", std::to_string(task_id));  // as text: JSON readers cut numbers above 2^53
    add_member(out, "task_name", task_name);
    add_member(out, "what", what);
    out += ",\"facts\":{";
    for (const auto& fact : facts) add_member(out, fact.name, fact.text);
    out += "},\"where\":[";
    for (const auto& stack : where) {
        if (&stack != where.data()) out += ',';
        add_stack(out, stack);
    }
    out += ']';
    add_member(out, "spawned", spawned);
    add_member(out, "why", why);
    add_member(out, "fix", fix);
    add_member(out, "silence", silence);
    add_member(out, "stack_id", hex(stack_id));
    add_number(out, "occurrence", occurrence);
    add_number(out, "suppressed", suppressed);
    return out + "}";
}

}  // namespace belay
