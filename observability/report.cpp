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

/// Bytes of the character that the text begins with; 0 if it is not UTF-8 (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
    auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    auto follows = [&](std::size_t i, unsigned first = 0x80, unsigned last = 0xbf) {
        return byte(i) >= first && byte(i) <= last;
    };
    unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        bool second = follows(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf);  // not the surrogates
        return second && follows(2) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        bool second = follows(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf);
        return second && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

void add_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        char c = text.front();
        auto byte = static_cast<unsigned char>(c);
        if (std::size_t length = utf8_length(text); length != 1) {  // an exception's text is of any encoding
            out += length != 0 ? text.substr(0, length) : "\xef\xbf\xbd";  // U+FFFD, for what is none
            text.remove_prefix(std::max<std::size_t>(length, 1));
            continue;
        }
        text.remove_prefix(1);
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
