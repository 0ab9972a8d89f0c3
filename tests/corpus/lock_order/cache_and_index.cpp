// reports lock-order
// A cache that asks its index, and an index that clears the cache: each under its own lock, two calls deep.
#include <belay/belay.hpp>

#include <map>
#include <string>

namespace {

struct cache {
    belay::sync_mutex lock;
    std::map<std::string, int> values;
};
struct index {
    belay::sync_mutex lock;
    std::map<std::string, int> positions;
};

int position_of(index& in, const std::string& key) {
    belay::sync_lock guard{in.lock};
    return in.positions[key];
}
int value_of(cache& c, index& i, const std::string& key) {
    belay::sync_lock guard{c.lock};
    auto known = c.values.find(key);
    return known != c.values.end() ? known->second : c.values[key] = position_of(i, key);
}

void forget(cache& c, const std::string& key) {
    belay::sync_lock guard{c.lock};  // <- here
    c.values.erase(key);
}
void move_to(index& in, cache& c, const std::string& key, int position) {
    belay::sync_lock guard{in.lock};
    in.positions[key] = position;
    forget(c, key);
}

belay::task<> look_up(cache* c, index* i) {
    value_of(*c, *i, "a");
    co_return;
}
belay::task<> rewrite(cache* c, index* i) {
    move_to(*i, *c, "a", 2);
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime;
    cache c;
    index i;
    runtime.block_on(look_up(&c, &i));
    runtime.block_on(rewrite(&c, &i));
    return 0;
}
