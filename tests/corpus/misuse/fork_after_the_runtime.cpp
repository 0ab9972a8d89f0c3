// aborts "block_on() was called in a child process of fork()"
// A server makes its runtime and then forks its worker processes, which have none of its threads.
#include <belay/belay.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace {

belay::task<int> serve() { co_return 0; }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    pid_t child = ::fork();
    if (child == 0) ::_exit(runtime.block_on(serve));
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) ::raise(WTERMSIG(status));  // ends as its child did
    return 0;
}
