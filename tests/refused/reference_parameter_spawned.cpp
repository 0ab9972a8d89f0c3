// expect: a spawned coroutine must not take references: its caller's objects may be gone when it runs. Take the parameter by value, or pass std::ref(x) to say that x outlives the scope
#include <belay/belay.hpp>
#include <string>
belay::task<> greet(const std::string& name);
void wrong(belay::scope& s) { s.spawn(greet, std::string("Ada")); }
