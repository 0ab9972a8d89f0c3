// The umbrella: everything that an application embeds. The opt-in headers (belay/io/asio/*, belay/observability/
// prometheus.hpp) are not here, because they need Boost or prometheus-cpp at compile time.
#pragma once

#include <belay/io/descriptor.hpp>
#include <belay/io/endpoint.hpp>
#include <belay/io/error.hpp>
#include <belay/io/resolve.hpp>
#include <belay/io/signal_set.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/observability/debug_endpoint.hpp>
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/as_task.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/cpu_pool.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop.hpp>
#include <belay/runtime/strand.hpp>
#include <belay/runtime/task.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/sync_mutex.hpp>
