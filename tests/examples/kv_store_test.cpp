#include <kv_server/glob.hpp>
#include <kv_server/store.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using kv::set_condition;
using views = std::vector<std::string_view>;

const kv::time_point start{1'000'000ms};
const std::string large(kv::value::large_size * 3, 'L');

class KvStore : public testing::Test {
protected:
    std::optional<std::string> get(std::string_view key) {
        std::optional<std::string> copy;
        const bool found = data.get(key, now, [&](const kv::value& held) { copy = held.view(); });
        EXPECT_EQ(found, copy.has_value());
        return copy;
    }
    bool set(std::string_view key, std::string_view bytes, kv::time_point expires_at = kv::never) {
        return data.set({.key = key, .value = bytes, .expires_at = expires_at}, now).stored;
    }
    std::vector<std::string> get_many(const views& keys) {
        std::vector<std::string> found;
        EXPECT_TRUE(data.get_many(keys, SIZE_MAX, now,
                                  [&](const kv::value* held) { found.emplace_back(held ? held->view() : "(none)"); }));
        return found;
    }

    kv::store data{{.shards = 4, .hash_seed = 1}};
    kv::time_point now = start;
};

TEST_F(KvStore, WhatWasSetIsThereUntilItIsErased) {
    EXPECT_FALSE(get("k"));
    EXPECT_TRUE(set("k", "v"));
    EXPECT_EQ(get("k"), "v");
    EXPECT_TRUE(set("k", large));
    EXPECT_EQ(get("k"), large);
    EXPECT_TRUE(set("k", ""));
    EXPECT_EQ(get("k"), "");
    EXPECT_EQ(data.erase(views{"k"}, now), 1U);
    EXPECT_FALSE(get("k"));
    EXPECT_EQ(data.erase(views{"k"}, now), 0U);
}

TEST_F(KvStore, KeysAreBinarySafe) {
    using namespace std::string_view_literals;
    EXPECT_TRUE(set("a\0b"sv, "1"));
    EXPECT_TRUE(set("a\0c"sv, "2"));
    EXPECT_TRUE(set(""sv, "3"));
    EXPECT_EQ(get("a\0b"sv), "1");
    EXPECT_EQ(get(""sv), "3");
    EXPECT_EQ(data.size(), 3U);
}

TEST_F(KvStore, ConditionsDecideWhetherAValueIsStored) {
    const auto store_if = [&](set_condition condition, std::string_view bytes) {
        return data.set({.key = "k", .value = bytes, .condition = condition, .want_old = true}, now);
    };
    EXPECT_FALSE(store_if(set_condition::if_present, "1").stored);
    EXPECT_TRUE(store_if(set_condition::if_absent, "2").stored);
    const auto refused = store_if(set_condition::if_absent, "3");
    EXPECT_FALSE(refused.stored);
    EXPECT_EQ(refused.old->view(), "2");
    EXPECT_EQ(store_if(set_condition::if_present, large).old->view(), "2");
    EXPECT_EQ(store_if(set_condition::always, "4").old->view(), large);
    EXPECT_EQ(get("k"), "4");
}

TEST_F(KvStore, AKeyIsGoneAtItsExpiry) {
    set("k", "v", start + 100ms);
    now = start + 99ms;
    EXPECT_EQ(get("k"), "v");
    now = start + 100ms;
    EXPECT_EQ(data.size(), 1U) << "nobody looked yet";
    EXPECT_FALSE(get("k"));
    EXPECT_EQ(data.size(), 0U);
    EXPECT_EQ(data.usage().expired, 1U);
}

TEST_F(KvStore, AnExpiredKeyCountsAsAbsentForEveryOperation) {
    const auto expired = [&] {
        now = start;
        set("k", "5", start + 1ms);
        now = start + 1ms;
    };
    expired();
    EXPECT_TRUE(data.set({.key = "k", .value = "v", .condition = set_condition::if_absent}, now).stored);
    expired();
    EXPECT_FALSE(data.set({.key = "k", .value = "v", .condition = set_condition::if_present}, now).stored);
    expired();
    EXPECT_EQ(data.erase(views{"k"}, now), 0U);
    expired();
    EXPECT_EQ(data.count(views{"k"}, now), 0U);
    expired();
    EXPECT_EQ(data.add("k", 1, now).value, 1);
    EXPECT_EQ(data.expiry("k", now), kv::never);
    expired();
    EXPECT_EQ(data.append("k", "x", 100, now), 1U);
    expired();
    EXPECT_FALSE(data.persist("k", now));
    expired();
    EXPECT_EQ(get_many({"k"}), std::vector<std::string>{"(none)"});
    expired();
    data.for_each_key(now, [](std::string_view) { ADD_FAILURE(); });
}

TEST_F(KvStore, ReplacingAValueForgetsTheExpiryUnlessToldToKeepIt) {
    set("k", "v", start + 1s);
    data.set({.key = "k", .value = "w", .keep_expiry = true}, now);
    EXPECT_EQ(data.expiry("k", now), start + 1s);
    EXPECT_EQ(data.add("n", 1, now).value, 1);
    set("k", "w");
    EXPECT_EQ(data.expiry("k", now), kv::never);
    EXPECT_FALSE(data.expiry("none", now));
    EXPECT_EQ(data.usage().expiring, 0U);
}

TEST_F(KvStore, ExpiryConditionsTakeNoExpiryAsTheLatest) {
    using enum kv::expiry_condition;
    EXPECT_FALSE(data.expire("k", start + 1s, none, now));
    set("k", "v");
    EXPECT_FALSE(data.expire("k", start + 5s, if_with, now));
    EXPECT_FALSE(data.expire("k", start + 5s, if_later, now));
    EXPECT_TRUE(data.expire("k", start + 5s, if_sooner, now));
    EXPECT_FALSE(data.expire("k", start + 6s, if_without, now));
    EXPECT_FALSE(data.expire("k", start + 5s, if_later, now));
    EXPECT_TRUE(data.expire("k", start + 6s, if_later | if_with, now));
    EXPECT_EQ(data.expiry("k", now), start + 6s);
    EXPECT_TRUE(data.persist("k", now));
    EXPECT_TRUE(data.expire("k", start, none, now)) << "an expiry that has passed removes the key";
    EXPECT_FALSE(get("k"));
}

TEST_F(KvStore, TheActiveCycleRemovesWhatHasExpiredAndNothingElse) {
    for (int i = 0; i < 1'000; ++i) set("gone" + std::to_string(i), "v", start + 1ms);
    for (int i = 0; i < 1'000; ++i) set("later" + std::to_string(i), "v", start + 1h);
    for (int i = 0; i < 1'000; ++i) set("stays" + std::to_string(i), "v");
    EXPECT_EQ(data.expire_some(start, 1'000'000), 0U);
    now = start + 1ms;
    const std::size_t first = data.expire_some(now, 64);
    EXPECT_LE(first, 64U) << "the budget bounds the work";
    std::size_t removed = first;
    for (int rounds = 0; removed < 1'000; ++rounds) {
        ASSERT_LT(rounds, 1'000);
        removed += data.expire_some(now, 256);
    }
    EXPECT_EQ(removed, 1'000U);
    EXPECT_EQ(data.size(), 2'000U);
    EXPECT_EQ(data.usage().expiring, 1'000U);
}

TEST_F(KvStore, AdditionNeverWrapsAndNeverChangesWhatIsNoInteger) {
    EXPECT_EQ(data.add("n", 5, now).value, 5);
    EXPECT_EQ(data.add("n", -7, now).value, -2);
    set("n", "9223372036854775807");
    EXPECT_EQ(data.add("n", 1, now).status, kv::add_status::overflow);
    EXPECT_EQ(data.add("n", INT64_MIN, now).value, -1);
    set("n", "-9223372036854775808");
    EXPECT_EQ(data.add("n", -1, now).status, kv::add_status::overflow);
    for (const char* text : {"", "01", "+1", " 1", "1 ", "-0", "-", "1.0", "9223372036854775808"}) {
        set("n", text);
        EXPECT_EQ(data.add("n", 1, now).status, kv::add_status::not_an_integer) << text;
        EXPECT_EQ(get("n"), text);
    }
}

TEST_F(KvStore, AppendGrowsFromSmallToLargeUpToItsLimit) {
    std::string expected;
    for (int i = 0; i < 100; ++i) {
        const std::string piece(static_cast<std::size_t>(i) * 20, static_cast<char>('a' + i % 26));
        expected += piece;
        EXPECT_EQ(data.append("k", piece, 200'000, now), expected.size());
    }
    EXPECT_EQ(get("k"), expected);
    EXPECT_FALSE(data.append("k", "x", expected.size(), now));
    EXPECT_EQ(data.length("k", now), expected.size());
    EXPECT_FALSE(data.append("fresh", "xy", 1, now));
    EXPECT_FALSE(get("fresh")) << "refused, so not created";
}

TEST_F(KvStore, AppendDoesNotChangeBytesThatSomebodyElseHolds) {
    set("k", large);
    const auto held = data.set({.key = "k", .value = "x", .condition = set_condition::if_absent, .want_old = true}, now).old;
    EXPECT_EQ(data.append("k", "tail", 1 << 20, now), large.size() + 4);
    EXPECT_EQ(held->view(), large);
    EXPECT_EQ(get("k"), large + "tail");
}

TEST_F(KvStore, ManyKeysKeepTheirOrderWhateverTheirSize) {
    data.set_many(views{"a", "1", "b", large, "c", "3", "a", "4"}, now);
    EXPECT_EQ(get_many({"c", "none", "b", "a", "b", "none"}),
              (std::vector<std::string>{"3", "(none)", large, "4", large, "(none)"}));
    const auto untouched = [](auto) { ADD_FAILURE(); };
    EXPECT_FALSE(data.get_many(views{"b", "b"}, large.size() * 2 - 1, now, untouched));
    EXPECT_EQ(data.count(views{"a", "a", "none", "b"}, now), 3U);
    EXPECT_EQ(data.erase(views{"a", "a", "none", "b"}, now), 2U);
}

TEST_F(KvStore, SettingManyForgetsTheirExpiry) {
    set("a", large, start + 1s);
    data.set_many(views{"a", "1"}, now);
    EXPECT_EQ(data.expiry("a", now), kv::never);
    EXPECT_EQ(get("a"), "1");
}

TEST_F(KvStore, TheAccountOfMemoryReturnsToZero) {
    std::mt19937 random(3);
    for (int i = 0; i < 20'000; ++i) {
        const std::string key = std::string(random() % 30, 'k') + std::to_string(random() % 50);
        switch (random() % 6) {
        case 0: data.erase(views{key, "other"}, now); break;
        case 1: data.append(key, std::string(random() % 5'000, 'a'), 1 << 20, now); break;
        case 2: data.add(key, 1, now); break;
        case 3: data.set_many(views{key, "v", "other", large}, now); break;
        default: set(key, std::string(random() % 40'000, 'v'), random() % 2 ? now + 5ms : kv::never);
        }
        if (i % 100 == 0) now += 1ms;
    }
    EXPECT_GT(data.usage().bytes, 100'000U);
    std::vector<std::string> keys;
    data.for_each_key(now, [&](std::string_view key) { keys.emplace_back(key); });
    for (const std::string& key : keys) EXPECT_EQ(data.erase(views{key}, now), 1U);
    now += 1h;
    // A call that removes nothing does not mean that nothing is left: it looks at a part of the table.
    for (int i = 0; i < 1000 && data.usage().expiring > 0; ++i) data.expire_some(now, 10'000);
    EXPECT_EQ(data.usage().keys, 0U);
    EXPECT_EQ(data.usage().expiring, 0U);
    EXPECT_EQ(data.usage().bytes, 0U);
}

TEST_F(KvStore, ClearEmptiesEverything) {
    for (int i = 0; i < 100; ++i) set(std::to_string(i), large, i % 2 ? start + 1s : kv::never);
    data.clear();
    EXPECT_EQ(data.usage().keys, 0U);
    EXPECT_EQ(data.usage().bytes, 0U);
    EXPECT_EQ(data.usage().expiring, 0U);
    EXPECT_TRUE(set("k", "v"));
    EXPECT_EQ(get("k"), "v");
}

TEST_F(KvStore, AShardCountThatIsNoPowerOfTwoIsRefused) {
    for (const std::size_t shards : {0UL, 3UL, 2048UL}) {
        EXPECT_THROW(kv::store({.shards = shards, .hash_seed = 1}), std::invalid_argument);
    }
}

TEST(KvStoreConcurrency, ManyKeysAreReadAndWrittenAsOne) {
    kv::store data{{.shards = 8, .hash_seed = 1}};
    data.set_many(views{"a", "0", "b", "0", "c", "0"}, start);
    std::atomic<int> running{2};
    const auto writer = [&](int first) {
        for (int i = first; i < first + 2'000; ++i) {
            const std::string text = i % 7 ? std::to_string(i) : std::string(kv::value::large_size, 'x') + std::to_string(i);
            if (i % 2) {
                data.set_many(views{"a", text, "b", text, "c", text}, start);
            } else {
                data.set_many(views{"c", text, "b", text, "a", text}, start);
            }
        }
        --running;
    };
    const auto reader = [&] {
        while (running > 0) {
            std::set<std::string> seen;
            EXPECT_TRUE(
                data.get_many(views{"b", "a", "c"}, SIZE_MAX, start, [&](const kv::value* held) { seen.emplace(held->view()); }));
            EXPECT_EQ(seen.size(), 1U) << "two moments in one reading";
        }
    };
    std::vector<std::jthread> threads;
    threads.emplace_back(writer, 1);
    threads.emplace_back(writer, 100'000);
    threads.emplace_back(reader);
    threads.emplace_back(reader);
}

TEST(KvStoreConcurrency, LargeBytesAreReadWhileOthersAppendAndReplace) {
    kv::store data{{.shards = 1, .hash_seed = 1}};
    data.set({.key = "k", .value = large}, start);
    std::atomic<int> running{2};
    std::vector<std::jthread> threads;
    threads.emplace_back([&] {
        for (int i = 0; i < 2'000; ++i) {
            data.append("k", "LL", SIZE_MAX, start);
            if (i % 200 == 0) data.set({.key = "k", .value = large}, start);
        }
        --running;
    });
    threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
            data.erase(views{"k"}, start);
            data.set({.key = "k", .value = large}, start);
        }
        --running;
    });
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            while (running > 0) {
                data.get("k", start,
                         [](const kv::value& held) { EXPECT_EQ(held.view().find_first_not_of('L'), std::string_view::npos); });
            }
        });
    }
}

TEST(KvStoreConcurrency, NoIncrementIsLostAmongEverythingElse) {
    kv::store data{{.shards = 4, .hash_seed = 1}};
    constexpr int threads = 4;
    constexpr int rounds = 3'000;
    {
        std::vector<std::jthread> workers;
        for (int worker = 0; worker < threads; ++worker) {
            workers.emplace_back([&, worker] {
                std::mt19937 random(static_cast<unsigned>(worker));
                for (int i = 0; i < rounds; ++i) {
                    const auto now = start + std::chrono::milliseconds(i);
                    data.add("counter", 1, now);
                    const std::string key = std::to_string(random() % 100);
                    data.set({.key = key, .value = key, .expires_at = now + 5ms}, now);
                    data.get(key, now, [&](const kv::value& held) { EXPECT_EQ(held.view(), key); });
                    if (i % 50 == 0) data.expire_some(now, 200);
                    if (i % 100 == 0) data.for_each_key(now, [](std::string_view one) { EXPECT_FALSE(one.empty()); });
                    if (i % 70 == 0) data.erase(views{key, "1", "2"}, now);
                }
            });
        }
    }
    EXPECT_EQ(data.add("counter", 0, start).value, threads * rounds);
}

TEST(KvGlob, MatchesAsRedisDoes) {
    struct example {
        std::string_view pattern, text;
        bool matches;
    };
    constexpr example examples[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a*c", "abbc", true},
        {"a*c", "abcd", false},
        {"*a*b*", "xaxbx", true},
        {"a**", "a", true},
        {"?", "a", true},
        {"?", "", false},
        {"h?llo", "hallo", true},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"[a-c]x", "bx", true},
        {"[c-a]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[\\]]", "]", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"[ab", "a", true},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"[a-]", "_", true},
        {"*[a-c]?", "xxbz", true},
    };
    for (const auto& [pattern, text, matches] : examples) {
        EXPECT_EQ(kv::glob_match(pattern, text), matches) << pattern << " / " << text;
    }
    EXPECT_TRUE(kv::glob_match("SA[U-W]*", "save", kv::letter_case::ignored));
    EXPECT_FALSE(kv::glob_match("SAVE", "save"));
}

TEST(KvGlob, ManyStarsTakeNoExponentialTime) {
    std::string pattern;
    for (int i = 0; i < 50; ++i) pattern += "*a";
    EXPECT_FALSE(kv::glob_match(pattern + "b", std::string(2'000, 'a')));
}

}  // namespace
