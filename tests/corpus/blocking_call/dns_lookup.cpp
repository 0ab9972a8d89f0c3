// reports blocking-call
// needs guard
// policy stall=off,block=log:any
// A handler looks a host up with getaddrinfo(), which asks name servers and waits for them. (Here every call counts: "localhost"
// is answered by a file.)
#include <belay/belay.hpp>

#include <netdb.h>

#include <string>

namespace {

bool exists(const std::string& host) {
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, nullptr, &found) != 0) return false;
    ::freeaddrinfo(found);
    return true;
}

belay::task<std::string> handle(std::string host) { co_return host + (exists(host) ? " is up" : " is unknown"); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(handle("localhost"));  // <- here
    return 0;
}
