#include <belay/runtime/sim_schedule.hpp>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace belay {
namespace {

[[noreturn]] void refuse(std::string_view word) {
    throw std::invalid_argument("belay: schedule: '" + std::string{word} +
                                "' is no choice; expected number:alternative, both separated by a colon, with ascending numbers");
}

std::uint32_t number(std::string_view digits, std::string_view word) {
    std::uint32_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) refuse(word);
    return value;
}

}  // namespace

std::string sim_schedule::to_string() const {
    if (choices.empty()) return "-";
    std::string text;
    for (const choice& c : choices) {
        if (!text.empty()) text += ' ';
        text += std::to_string(c.at) + ':' + std::to_string(c.pick);
    }
    return text;
}

sim_schedule sim_schedule::parse(std::string_view text) {
    sim_schedule parsed;
    if (text == "-") return parsed;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
        if (text.empty()) return parsed;
        auto word = text.substr(0, text.find(' '));
        text.remove_prefix(word.size());
        auto colon = word.find(':');
        if (colon == std::string_view::npos) refuse(word);
        choice c{number(word.substr(0, colon), word), number(word.substr(colon + 1), word)};
        if (c.pick == 0 || (!parsed.choices.empty() && c.at <= parsed.choices.back().at)) refuse(word);
        parsed.choices.push_back(c);
    }
}

}  // namespace belay
