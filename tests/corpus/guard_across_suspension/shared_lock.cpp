// reports guard-across-suspension
// needs guard
// A chat room holds its reader lock while it sends to all members; a slow one keeps everybody from joining.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

struct room {
    std::shared_mutex mutex;
    std::vector<belay::sender<std::string>> members;
};

belay::task<> broadcast(room& all, std::string text) {
    std::shared_lock reading{all.mutex};
    for (auto& member : all.members) co_await member.send(std::string{text});  // <- here
}

belay::task<> chat(belay::scope& s) {
    room lobby;
    auto [tx, rx] = belay::channel<std::string>(1);
    (void)tx.try_send("welcome");  // it is full, and its member is slow
    lobby.members.push_back(std::move(tx));
    auto sent = s.spawn(broadcast, std::ref(lobby), "hello");
    co_await belay::sleep_for(std::chrono::milliseconds{2});
    for (int i = 0; i < 2; ++i) (void)co_await rx.recv();
    co_await sent.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(chat));
    return 0;
}
