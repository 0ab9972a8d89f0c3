// reports blocked-worker
// policy stall=log:20ms
// A password hash is slow on purpose. A login computes it in its task.
#include <belay/belay.hpp>

#include <cstdint>
#include <ctime>
#include <string>

namespace {

std::uint64_t slow_hash(const std::string& password) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;)
        for (char c : password) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

belay::task<bool> check(std::string password, std::uint64_t expected) { co_return slow_hash(password) == expected; }

belay::task<> log_in(std::string password) {
    co_await check(std::move(password), 42);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(log_in("secret"));
    return 0;
}
