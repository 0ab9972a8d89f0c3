// reports blocked-worker
// policy stall=log:20ms
// A function on a strand runs on a worker like everything else.
#include <belay/belay.hpp>

#include <ctime>
#include <map>
#include <string>

namespace {

belay::task<> summarise(belay::strand& ledger, std::map<std::string, long>& accounts) {
    auto sum = [&] {
        long all = 0;
        for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;)
            for (const auto& [name, balance] : accounts) all += balance;
        accounts["all"] = all;
    };
    co_await ledger.run(sum);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    belay::strand ledger;
    std::map<std::string, long> accounts{{"alice", 1}, {"all", 0}, {"bob", -1}};
    runtime.block_on(summarise(ledger, accounts));
    return 0;
}
