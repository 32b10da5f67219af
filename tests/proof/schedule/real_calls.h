// The C library's own functions, behind those that stand in for them here.
#pragma once

#include <dlfcn.h>
#include <pthread.h>

#include <utility>

namespace azoth::proof::real {

template <class Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using Syscall = long(long, ...);

inline Syscall* find_syscall() {
  static Syscall* const function = find<Syscall>("syscall");
  return function;
}

template <class... Arguments>
long syscall(long number, Arguments... arguments) {
  return find_syscall()(number, arguments...);
}

inline int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  static auto* const function = find<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  return function(handle, attributes, body, argument);
}

inline pthread_t pthread_self() {
  static auto* const function = find<pthread_t()>("pthread_self");
  return function();
}

inline int pthread_join(pthread_t handle, void** result) {
  static auto* const function = find<int(pthread_t, void**)>("pthread_join");
  return function(handle, result);
}

}  // namespace azoth::proof::real
