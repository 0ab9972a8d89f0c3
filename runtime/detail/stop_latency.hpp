// How long stopped scopes took to end, by their name. Written once for each stopped scope by whoever leaves it last: never on a
// hot path.
#pragma once

#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/metrics.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace belay::detail {

/// A bounded number of names, so that a dashboard's cardinality is too: the first 31 that were stopped have a row of their own, all
/// further ones share the last, "(others)". Allocates nothing when it is written.
class stop_latency {
public:
    static constexpr std::size_t rows = 32;
    static constexpr std::size_t longest_name = 47;  // bytes; of a longer one that much is kept

    void add(std::string_view scope, std::int64_t took_ns) noexcept {
        auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(took_ns, 0));
        std::scoped_lock guard(lock_);
        row& r = row_of(scope.substr(0, longest_name));
        ++r.count;
        r.sum_ns += ns;
        r.max_ns = std::max(r.max_ns, ns);
    }
    [[nodiscard]] std::vector<stop_latency_metrics> read() const {
        std::array<row, rows> copy;
        std::size_t n = 0;
        {
            std::scoped_lock guard(lock_);
            n = used_;
            std::copy_n(rows_.begin(), n, copy.begin());
        }
        std::vector<stop_latency_metrics> out;
        out.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
            out.push_back({.scope = std::string{copy[i].name()},
                           .count = copy[i].count,
                           .sum_ns = copy[i].sum_ns,
                           .max_ns = copy[i].max_ns});
        return out;
    }

private:
    struct row {
        std::array<char, longest_name> text;
        std::uint8_t length = 0;
        std::uint64_t count = 0;
        std::uint64_t sum_ns = 0;
        std::uint64_t max_ns = 0;
        [[nodiscard]] std::string_view name() const noexcept { return {text.data(), length}; }
        void set_name(std::string_view name) noexcept {
            std::copy(name.begin(), name.end(), text.begin());
            length = static_cast<std::uint8_t>(name.size());
        }
    };
    row& row_of(std::string_view name) noexcept {
        for (std::size_t i = 0; i < used_; ++i)
            if (rows_[i].name() == name) return rows_[i];
        if (used_ == rows) return rows_.back();
        row& made = rows_[used_++];
        made.set_name(used_ == rows ? "(others)" : name);
        return made;
    }

    mutable spin_lock lock_;
    std::size_t used_ = 0;  // guarded by lock_, as are the rows
    std::array<row, rows> rows_;
};

}  // namespace belay::detail
