// reports blocked-worker
// policy stall=log:20ms,block=off
// A System V semaphore between processes: semtimedop() is on nobody's list of calls that block.
#include <belay/belay.hpp>

#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

namespace {

bool take(int semaphores) {
    sembuf down{0, -1, 0};
    timespec limit{0, 500'000'000};
    return ::semtimedop(semaphores, &down, 1, &limit) == 0;
}

belay::task<bool> take_licence(int semaphores) {
    co_await belay::yield();  // <- here
    co_return take(semaphores);
}

}  // namespace

int main() {
    int semaphores = ::semget(IPC_PRIVATE, 1, 0600);
    {
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(take_licence(semaphores));
    }
    ::semctl(semaphores, 0, IPC_RMID);
    return 0;
}
