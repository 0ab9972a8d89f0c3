// What a coroutine or a spawned task ended with: nothing yet, a value, or an exception.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace belay::detail {

/// Holds a T, a reference (as a pointer), or in a box of its own a T that is over-aligned (promises stay 16-aligned) or huge (see
/// injected_fault.cpp).
template <class T>
class result_slot {
    using object = std::conditional_t<std::is_reference_v<T>, char, T>;
    static constexpr bool boxed = alignof(object) > 16 || sizeof(object) > 32 * 1024;
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*,
                                      std::conditional_t<boxed, std::unique_ptr<std::remove_cv_t<T>>, std::remove_cv_t<T>>>;

public:
    result_slot() noexcept {}
    result_slot(const result_slot&) = delete;
    result_slot& operator=(const result_slot&) = delete;
    ~result_slot() { reset(); }

    template <class U>
    void set_value(U&& value) {
        if constexpr (std::is_reference_v<T>) {
            ::new (static_cast<void*>(&value_)) stored(std::addressof(value));
        } else if constexpr (boxed) {
            ::new (static_cast<void*>(&value_)) stored(std::make_unique<std::remove_cv_t<T>>(std::forward<U>(value)));
        } else {
            ::new (static_cast<void*>(&value_)) stored(std::forward<U>(value));
        }
        state_ = state::value;
    }
    void set_error(std::exception_ptr error) noexcept {
        reset();  // a local's destructor may throw after co_return has set a value
        ::new (static_cast<void*>(&error_)) std::exception_ptr(std::move(error));
        state_ = state::error;
    }
    [[nodiscard]] bool has_value() const noexcept { return state_ == state::value; }
    [[nodiscard]] bool has_error() const noexcept { return state_ == state::error; }
    /// Only when has_error().
    [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

    /// The value, moved out, or the exception, thrown.
    T take() {
        if (state_ == state::error) std::rethrow_exception(error_);
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*value_);
        } else if constexpr (boxed) {
            return std::move(*value_);
        } else {
            return std::move(value_);
        }
    }
    /// Moves the outcome of another slot here. When T's move throws, that error becomes the outcome. False: it is an error.
    bool take_from(result_slot& other) noexcept {
        if (other.has_error()) {
            set_error(other.error_);
        } else if (other.has_value()) {
            try {
                ::new (static_cast<void*>(&value_)) stored(std::move(other.value_));
                state_ = state::value;
            } catch (...) {
                set_error(std::current_exception());
            }
        }
        return !has_error();
    }

private:
    void reset() noexcept {
        if (state_ == state::value) value_.~stored();
        if (state_ == state::error) error_.~exception_ptr();
        state_ = state::empty;
    }

    enum class state : unsigned char { empty, value, error };
    union {
        stored value_;
        std::exception_ptr error_;
    };
    state state_ = state::empty;
};

template <>
class result_slot<void> {
public:
    void set_value() noexcept {}
    void set_error(std::exception_ptr error) noexcept { error_ = std::move(error); }
    [[nodiscard]] bool has_error() const noexcept { return error_ != nullptr; }
    [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
    void take() {
        if (error_) std::rethrow_exception(error_);
    }
    bool take_from(result_slot& other) noexcept {
        error_ = other.error_;
        return !has_error();
    }

private:
    std::exception_ptr error_;
};

}  // namespace belay::detail
