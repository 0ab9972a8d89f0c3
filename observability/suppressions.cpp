#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/at_fork.hpp>
#include <belay/observability/impl/suppressions.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

namespace belay {
namespace detail {
namespace {

struct suppression {
    std::optional<guardrail> kind;  // empty: all
    std::string text;
};

struct suppression_list {
    std::mutex lock;  // held while the list is looked at, never while a report is written
    std::vector<suppression> patterns;
};

suppression_list& all_suppressions() noexcept {
    static auto* the_one = [] {  // never destroyed: reports come after main() too
        hold_at_fork<[]() -> std::mutex& { return all_suppressions().lock; }>();
        return new suppression_list;
    }();
    return *the_one;
}

suppression parse(std::string_view pattern) {
    auto refuse = [&](const std::string& why) {
        throw std::invalid_argument("belay: suppression \"" + std::string{pattern} + "\": " + why);
    };
    auto colon = pattern.find(':');
    if (colon == std::string_view::npos)
        refuse("there is no ':'; write guardrail:text, for example block:spdlog::sinks::*, or all:src/legacy/");
    auto word = pattern.substr(0, colon);
    suppression made{{}, std::string{pattern.substr(colon + 1)}};
    if (made.text.find_first_not_of("* \t") == std::string::npos)
        refuse("the text after the ':' is empty, which would match everything: switch the guardrail off instead");
    if (word == "all") return made;
    for (std::size_t i = 0; i < guardrail_count && !made.kind; ++i)
        if (guardrails::policy_word(static_cast<guardrail>(i)) == word) made.kind = static_cast<guardrail>(i);
    if (!made.kind) refuse("\"" + std::string{word} + "\" is not a guardrail: see guardrails::policy_word()");
    return made;
}

bool matches(const suppression& s, const report& r) noexcept {
    if (s.kind && *s.kind != r.kind) return false;
    if (occurs(s.text, r.spawned)) return true;
    for (const auto& stack : r.where) {
        if (occurs(s.text, stack.title)) return true;
        for (const auto& frame : stack.frames)
            if (occurs(s.text, frame.function) || occurs(s.text, frame.place)) return true;
    }
    return false;
}

}  // namespace

// Greedy: the first place at which the next piece occurs is as good as any later one.
bool occurs(std::string_view pattern, std::string_view text) noexcept {
    std::size_t from = 0;
    while (!pattern.empty()) {
        auto star = pattern.find('*');
        auto piece = pattern.substr(0, star);
        auto found = text.find(piece, from);
        if (found == std::string_view::npos) return false;
        from = found + piece.size();
        pattern = star == std::string_view::npos ? std::string_view{} : pattern.substr(star + 1);
    }
    return true;
}

bool is_suppressed(const report& what) noexcept {
    auto& all = all_suppressions();
    std::lock_guard guard{all.lock};
    return std::ranges::any_of(all.patterns, [&](const suppression& s) { return matches(s, what); });
}

void load_suppressions_once() {
    static const bool loaded = [] {
        if (const char* path = std::getenv("BELAY_SUPPRESSIONS"); path != nullptr && *path != '\0')
            guardrails::suppress_file(path);
        return true;
    }();
    static_cast<void>(loaded);
}

}  // namespace detail

namespace guardrails {

void suppress(std::string_view pattern) {
    auto made = detail::parse(pattern);
    auto& all = detail::all_suppressions();
    std::lock_guard guard{all.lock};
    all.patterns.push_back(std::move(made));
}

void suppress_file(const std::string& path) {
    std::ifstream file{path};
    if (!file)
        throw std::system_error(errno, std::generic_category(),
                                "belay: the suppressions in '" + path + "' (BELAY_SUPPRESSIONS?) cannot be read");
    std::vector<detail::suppression> made;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        auto begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos || line[begin] == '#') continue;
        auto pattern = std::string_view{line}.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
        try {
            made.push_back(detail::parse(pattern));
        } catch (const std::invalid_argument& wrong) {
            throw std::invalid_argument(std::string{wrong.what()} + " (" + path + ", line " + std::to_string(number) + ")");
        }
    }
    // A directory opens, and cannot be read.
    if (file.bad())
        throw std::system_error(errno, std::generic_category(),
                                "belay: the suppressions in '" + path + "' (BELAY_SUPPRESSIONS?) cannot be read");
    auto& all = detail::all_suppressions();
    std::lock_guard guard{all.lock};
    std::ranges::move(made, std::back_inserter(all.patterns));
}

}  // namespace guardrails
}  // namespace belay
