// getaddrinfo is replaced here, so that a lookup can last as long as a test wants.
#include <belay/io/error.hpp>
#include <belay/io/resolve.hpp>
#include <belay/runtime/blocking.hpp>

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <latch>
#include <memory>
#include <string_view>

#include "socket_kit.hpp"

namespace {

/// What the host "slow.test" waits for, and tells that it does.
struct slow_lookup {
    std::latch begun{1};
    std::latch may_end{1};
    std::latch ended{1};
};
std::atomic<slow_lookup*> slow{nullptr};

}  // namespace

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** result) {
    using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const bool asked_for_number = (hints->ai_flags & AI_NUMERICHOST) != 0;
    const std::string_view name = host != nullptr ? host : "";
    if (name == "slow.test" && !asked_for_number) {
        auto* control = slow.load();
        control->begun.count_down();
        control->may_end.wait();
        const int error = real("127.0.0.1", service, hints, result);
        control->ended.count_down();
        return error;
    }
    if (name == "again.test" && !asked_for_number) return EAI_AGAIN;
    if (name == "broken.test" && !asked_for_number) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    return real(host, service, hints, result);
}

namespace belay::testing {
namespace {

using io::endpoint;
using io::resolve;

task<std::pair<std::error_code, std::string>> resolve_error(std::string host, std::string service) {
    co_return co_await error_of([](std::string h, std::string s) -> task<> { co_await resolve(std::move(h), std::move(s)); }(
                                                                     std::move(host), std::move(service)));
}

TEST(Resolve, FindsLocalhost) {
    if (!knows_localhost()) GTEST_SKIP() << "this machine does not know the name localhost";
    run([]() -> task<> {
        const auto found = co_await resolve("localhost", "80");
        EXPECT_FALSE(found.empty());
        for (const auto& where : found) {
            EXPECT_EQ(where.port(), 80);
            EXPECT_TRUE(where.address() == "127.0.0.1" || where.address() == "::1") << where.to_string();
        }
    });
}

TEST(Resolve, KnowsServicesByName) {
    run([]() -> task<> {
        if (::getservbyname("https", "tcp") == nullptr) co_return;  // no /etc/services here
        EXPECT_EQ((co_await resolve("127.0.0.1", "https")).front(), endpoint::parse("127.0.0.1:443"));
    });
}

TEST(Resolve, NumbersAreAnsweredWithoutThePool) {
    run([]() -> task<> {
        EXPECT_EQ(co_await resolve("192.0.2.7", "5432"), std::vector{endpoint::parse("192.0.2.7:5432")});
        EXPECT_EQ(co_await resolve("2001:db8::1", "1"), std::vector{endpoint::parse("[2001:db8::1]:1")});
        EXPECT_EQ(co_await resolve("127.0.0.1", ""), std::vector{endpoint::loopback(0)});
    });
}

TEST(Resolve, NoHostMeansThisMachine) {
    run([]() -> task<> {
        const auto found = co_await resolve("", "99");
        EXPECT_TRUE(std::ranges::find(found, endpoint::loopback(99)) != found.end());
    });
}

TEST(Resolve, ABadNameIsAnErrorThatNamesHostAndService) {
    run([]() -> task<> {
        const std::string zero("a\0b", 3);
        for (const std::string& host : {std::string{"not a host name"}, std::string{"256.1.1.1.1."}, zero}) {
            auto [code, text] = co_await resolve_error(host, "1234");
            EXPECT_EQ(&code.category(), &io::resolver_category()) << text;
            EXPECT_NE(code.value(), 0) << text;
            EXPECT_TRUE(contains(text, "resolve host '")) << text;
        }
        auto [code, text] = co_await resolve_error("127.0.0.1", "no-such-service");
        EXPECT_EQ(code, std::error_code(EAI_SERVICE, io::resolver_category()));
        EXPECT_TRUE(contains(text, "host '127.0.0.1', service 'no-such-service'")) << text;
    });
}

TEST(Resolve, PassesOnWhatTheResolverAndTheSystemSay) {
    run([]() -> task<> {
        EXPECT_EQ((co_await resolve_error("again.test", "1")).first, std::error_code(EAI_AGAIN, io::resolver_category()));
        EXPECT_EQ((co_await resolve_error("broken.test", "1")).first, std::errc::too_many_files_open);
    });
}

TEST(Resolve, AStopEndsALookupThatRunsAtOnce) {
    slow_lookup control;
    slow = &control;
    run([&]() -> task<> {
        auto stopper = [&]() -> task<> {
            while (!control.begun.try_wait()) co_await yield();
        };
        auto won = co_await when_any(resolve("slow.test", "1"), stopper());
        EXPECT_EQ(won.index, 1U);
        EXPECT_FALSE(std::get<0>(won.values));
        control.may_end.count_down();  // only now; its late result is disposed of
        while (!control.ended.try_wait()) co_await yield();
    });
}

TEST(Resolve, ALookupThatEndsInTimeIsDelivered) {
    slow_lookup control;
    slow = &control;
    run([&]() -> task<> {
        auto release = [&]() -> task<> {
            while (!control.begun.try_wait()) co_await yield();
            control.may_end.count_down();
        };
        auto [found, released] = co_await when_all(resolve("slow.test", "1"), release());
        EXPECT_EQ(found, std::vector{endpoint::loopback(1)});
        control.ended.wait();
    });
}

TEST(Resolve, AStopEndsALookupThatWaitsForAThread) {
    runtime rt{{.workers = 2, .blocking_threads = 1}};
    rt.block_on([]() -> task<> {
        auto begun = std::make_shared<std::latch>(1);
        auto may_end = std::make_shared<std::latch>(1);
        auto occupy = [](std::shared_ptr<std::latch> b, std::shared_ptr<std::latch> e) -> task<> {
            co_await spawn_blocking([b, e] {
                b->count_down();
                e->wait();
            });
        };
        auto give_up = [](std::shared_ptr<std::latch> b, std::shared_ptr<std::latch> e) -> task<> {
            while (!b->try_wait()) co_await yield();
            auto won = co_await when_any(resolve("localhost", "1"), yield_times(20));
            EXPECT_EQ(won.index, 1U);
            e->count_down();
        };
        co_await when_all(occupy(begun, may_end), give_up(begun, may_end));
    });
}

TEST(Resolve, StopsAndResultsRace) {
    if (!knows_localhost()) GTEST_SKIP() << "this machine does not know the name localhost";
    run([]() -> task<> {
        for (int round = 0; round < 500; ++round) {
            auto won = co_await when_any(resolve("localhost", "1"), yield_times(round % 60));
            auto& found = std::get<0>(won.values);
            EXPECT_FALSE(found && found->empty());
        }
    });
}

TEST(Resolve, InAStoppedScopeNoLookupBegins) {
    run([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            s.request_stop();
            co_await resolve("slow.test", "1");
            ADD_FAILURE() << "came back";
        });
    });
}

}  // namespace
}  // namespace belay::testing
