// expect: for tasks, I/O and everything else use when_any, which stops and awaits the losers
#include <belay/belay.hpp>
belay::task<> other();
belay::task<> wrong(belay::receiver<int>& messages) { (void)co_await belay::select(messages.recv(), other()); }
