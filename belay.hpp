// The umbrella: everything that an application embeds. The opt-in headers (belay/io/asio/*, belay/observability/
// prometheus.hpp) are not here, because they need Boost or prometheus-cpp at compile time.
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>
