// reports blocked-worker
// policy stall=log:20ms
// A regular expression that goes through all ways to divide its text, of which there are as many as an attacker likes.
#include <belay/belay.hpp>

#include <ctime>
#include <regex>
#include <string>
#include <vector>

namespace {

belay::task<int> count_matches(std::vector<std::string> names) {
    const std::regex well_formed{"(a+)+b"};
    const auto end = std::clock() + CLOCKS_PER_SEC / 2;
    int matches = 0;
    for (std::size_t i = 0; std::clock() < end; i = (i + 1) % names.size())
        matches += std::regex_match(names[i], well_formed) ? 1 : 0;
    co_return matches;
}

belay::task<> validate(std::vector<std::string> names) {
    co_await count_matches(std::move(names));  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(validate({"aaaaaaaaaac", "aaaaaaaaaab"}));
    return 0;
}
