// Says to the compiler what an operation refers to, so that it warns (-Wdangling) where an operation is kept longer than that.
#pragma once

/// Behind a parameter: the result refers to it. Behind a member function: the result refers to the object.
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define BELAY_LIFETIMEBOUND [[clang::lifetimebound]]
#endif
#endif
#ifndef BELAY_LIFETIMEBOUND
#define BELAY_LIFETIMEBOUND
#endif
