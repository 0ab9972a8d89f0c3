#include <belay/observability/impl/source_text.hpp>

#include <cxxabi.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace belay::detail {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

// "belay::task<std::vector<int>> f()": the name starts after the first blank outside of any bracket.
std::string_view without_result_type(std::string_view text) {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '<' || c == '(' || c == '[' || c == '{') ++depth;
        if (c == '>' || c == ')' || c == ']' || c == '}') --depth;
        if (c == '(' && depth == 1 && !text.substr(i).starts_with("(anonymous")) return text;
        if (c == ' ' && depth == 0 && !text.substr(0, i).ends_with("operator")) return text.substr(i + 1);
    }
    return text;
}

}  // namespace

std::string demangled(const char* name) {
    int status = 0;
    std::unique_ptr<char, decltype(&std::free)> text{abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free};
    return status == 0 ? std::string{text.get()} : std::string{name};
}

std::string function_text(std::string_view pretty) {
    if (pretty.ends_with(".Frame*)")) {
        auto begin = pretty.rfind("::_Z");
        if (begin != std::string_view::npos) {
            auto mangled = std::string{pretty.substr(begin + 2)};
            mangled.resize(mangled.size() - std::string_view{".Frame*)"}.size());
            if (auto dot = mangled.find('.'); dot != std::string::npos) mangled.resize(dot);
            return function_text(demangled(mangled.c_str()));
        }
    }
    if (pretty.ends_with(']')) pretty = pretty.substr(0, pretty.find(" ["));  // "[with T = int]", "[T = int]"
    std::string text{without_result_type(pretty)};
    for (auto noise : {"(anonymous namespace)::", "{anonymous}::", "[abi:cxx11]", " [clone .resume]"})
        replace_all(text, noise, "");
    replace_all(text, "(anonymous class)::operator()", "lambda");
    replace_all(text, "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string");
    replace_all(text, "std::basic_string_view<char, std::char_traits<char> >", "std::string_view");
    return text.empty() ? "?" : text;
}

std::string place_text(const std::source_location& at) {
    if (at.line() == 0) return "an unknown place";
    return std::string{at.file_name()} + ":" + std::to_string(at.line());
}

std::string site_text(const std::source_location& at) {
    std::string_view function = at.function_name();
    return place_text(at) + (function.empty() ? std::string{} : " in " + function_text(function));
}

std::string counted(std::size_t n, const char* one, const char* many) { return std::to_string(n) + " " + (n == 1 ? one : many); }

std::string duration_text(std::chrono::nanoseconds length) {
    auto ns = static_cast<double>(length.count());
    std::array<char, 32> text{};
    if (ns < 1e3) {
        std::snprintf(text.data(), text.size(), "%.0f ns", ns);
    } else if (ns < 1e6) {
        std::snprintf(text.data(), text.size(), "%.0f us", ns / 1e3);
    } else if (ns < 1e9) {
        std::snprintf(text.data(), text.size(), ns < 1e7 ? "%.1f ms" : "%.0f ms", ns / 1e6);
    } else {
        std::snprintf(text.data(), text.size(), "%.1f s", ns / 1e9);
    }
    return text.data();
}

std::string task_text(const task_snapshot& task) {
    auto text = task.id == 0 ? std::string{"a task"} : "task " + std::to_string(task.id);  // it is gone, or cannot be read
    return task.name[0] == '\0' ? text : text + " \"" + task.name.data() + "\"";
}

report_stack async_stack(const task_snapshot& task, std::string_view innermost_note) {
    report_stack result{report_stack::shape::async, "async stack of " + task_text(task), {}};
    if (task.depth == 0) result.frames.push_back({"?", "", "no frame could be read", false});
    for (std::size_t i = 0; i < task.depth && i < task_snapshot::max_frames; ++i) {
        const auto& at = task.stack[i];
        result.frames.push_back({function_text(at.function_name()), place_text(at), "", false});
    }
    if (task.depth > 0) result.frames.front().note = innermost_note;
    if (task.cut) result.frames.push_back({"...", "", "further frames are not shown", false});
    return result;
}

place_hash& place_hash::add(std::string_view text) noexcept {
    for (char c : text) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return *this;
}

place_hash& place_hash::add(const std::source_location& at) noexcept {
    auto line = at.line();
    std::array<char, 5> bytes{':', static_cast<char>(line), static_cast<char>(line >> 8U), static_cast<char>(line >> 16U), ';'};
    return add(std::string_view{at.file_name()}).add(std::string_view{bytes.data(), bytes.size()});
}

place_hash& place_hash::add(std::uint64_t number) noexcept {
    for (int byte = 0; byte < 8; ++byte) value_ = (value_ ^ ((number >> (8 * byte)) & 0xffU)) * 0x100000001b3U;
    return *this;
}

}  // namespace belay::detail
