// reports lost-error
// The handles are kept, in a vector, and that is all that becomes of them.
#include <belay/belay.hpp>

#include <stdexcept>
#include <vector>

namespace {

belay::task<int> thumbnail(int picture) {
    co_await belay::yield();
    if (picture == 2) throw std::runtime_error("not a picture");
    co_return picture;
}

belay::task<> gallery(belay::scope& s) {
    std::vector<belay::join_handle<int>> pictures;
    for (int i = 0; i < 4; ++i) pictures.push_back(s.spawn(thumbnail, i));  // <- here
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope({.name = "gallery", .on_error = belay::on_error::isolate}, gallery));
    return 0;
}
