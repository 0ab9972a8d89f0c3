// reports blocked-worker
// policy stall=log:20ms,block=off
// popen() and fgets() wait inside the C library, where belay::guard does not look. The watchdog does.
#include <belay/belay.hpp>

#include <array>
#include <cstdio>
#include <string>

namespace {

std::string output_of(const char* command) {
    std::string text;
    std::array<char, 128> line{};
    FILE* program = ::popen(command, "r");
    if (program == nullptr) return text;
    while (std::fgets(line.data(), static_cast<int>(line.size()), program) != nullptr) text += line.data();
    ::pclose(program);
    return text;
}

belay::task<std::string> version() { co_return output_of("sleep 0.5; echo 1.0"); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        s.spawn(version);  // <- here
        co_return;
    }));
    return 0;
}
