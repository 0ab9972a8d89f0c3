// Recognises the type of a lambda, by the name that the compiler prints for it. Also while its body is being compiled, where the
// type is not complete and says nothing else of itself.
#pragma once

#include <string_view>

namespace belay::detail {

/// The name of T as the compiler prints it; only Clang's and GCC's way of naming a lambda matters here.
template <class T>
constexpr std::string_view name_of_type() noexcept {
    std::string_view text = __PRETTY_FUNCTION__;
    constexpr std::string_view before = "T = ";
    text.remove_prefix(text.find(before) + before.size());
    auto end = text.rfind("; std::string_view");  // GCC says what that is, too
    return text.substr(0, end != std::string_view::npos ? end : text.rfind(']'));
}

#if defined(__clang__)
/// "(lambda at file.cpp:7:20)"
template <class T>
inline constexpr bool is_lambda = name_of_type<T>().starts_with("(lambda at ");
#else
/// "f()::<lambda(int)>", but not "box<f()::<lambda(int)> >"
template <class T>
inline constexpr bool is_lambda = [] {
    std::string_view name = name_of_type<T>();
    auto begins = name.rfind("<lambda(");
    if (begins == std::string_view::npos) return false;
    int open = 0;
    for (auto i = begins; i < name.size(); ++i) {
        if (name[i] == '<') ++open;
        if (name[i] == '>' && --open == 0) return i + 1 == name.size();
    }
    return false;
}();
#endif

}  // namespace belay::detail
