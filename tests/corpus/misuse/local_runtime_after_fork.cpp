// aborts "a local_runtime was used in a child process of fork()"
// The child goes on with the loop of its parent, and with the descriptors of its parent.
#include <belay/belay.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

int main() {
    belay::local_runtime loop;
    pid_t child = ::fork();
    if (child == 0) {
        loop.poll();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) ::raise(WTERMSIG(status));  // ends as its child did
    return 0;
}
