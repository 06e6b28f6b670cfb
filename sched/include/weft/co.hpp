// SPDX-License-Identifier: Apache-2.0
// weft's coroutines for C++20: co.h with types. Header-only; link with -lweft.
//
//   errors      weft itself throws nothing: what can fail returns a result, whose error() is an errno value as std::error_code. A wait ends
//               with ECANCELED once its coroutine is cancelled and with ETIMEDOUT once a deadline around it passes, as co.h says.
//               So does running out of memory: ENOMEM, or EAGAIN for the stack of a coroutine
//   exceptions  are the program's own. One that leaves a coroutine's function is thrown again by join(), one that leaves a child of a
//               scope by wait(); one that leaves a detached coroutine or a connection's handler ends the process (std::terminate)
//   lifetime    what starts something ends it: the destructors of coroutine, scope and actor cancel (an actor: close its mailbox) and
//               wait for the end, as std::jthread's does, whatever cancels or limits the caller meanwhile
//
// Everything may be used by threads as well as by coroutines, unless it says otherwise.
#ifndef WEFT_CO_HPP
#define WEFT_CO_HPP

#include <atomic>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cxxabi.h>

#include "weft/co.h"

namespace weft {

// ---- Results

inline std::error_code error_of(int number) { return {number, std::generic_category()}; }

// A value, or the error that was met instead. value(), * and -> of one without a value end the process.
template <class T = void>
class [[nodiscard]] result {
 public:
  using value_type = T;

  result(T value) : value_(std::move(value)) {}
  result(std::error_code error) : error_(error) {}

  explicit operator bool() const { return value_.has_value(); }
  bool has_value() const { return value_.has_value(); }
  std::error_code error() const { return error_; }

  T& value() & { return *checked(); }
  const T& value() const& { return *const_cast<result*>(this)->checked(); }
  T&& value() && { return std::move(*checked()); }
  T& operator*() & { return *checked(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*checked()); }
  T* operator->() { return checked(); }
  const T* operator->() const { return &value(); }
  template <class U>
  T value_or(U&& other) && {
    return value_ ? std::move(*value_) : T(std::forward<U>(other));
  }

 private:
  T* checked() {
    if (!value_) std::terminate();
    return &*value_;
  }

  std::optional<T> value_;
  std::error_code error_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  result() = default;
  result(std::error_code error) : error_(error) {}

  explicit operator bool() const { return !error_; }
  bool has_value() const { return !error_; }
  std::error_code error() const { return error_; }
  void value() const {
    if (error_) std::terminate();
  }

 private:
  std::error_code error_;
};

namespace detail {

inline result<void> as_result(int error) { return error ? result<void>(error_of(error)) : result<void>(); }

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;

// What a callable returns, as a result: one of result<T> stays one.
template <class T>
struct resulting {
  using type = result<T>;
};
template <class T>
struct resulting<result<T>> {
  using type = result<T>;
};
template <class T>
using resulting_t = typename resulting<std::remove_cvref_t<T>>::type;

template <class Rep, class Period>
std::uint64_t nanoseconds_of(std::chrono::duration<Rep, Period> span) {
  using Exact = std::chrono::duration<long double, std::nano>;
  const long double exact = std::chrono::duration_cast<Exact>(span).count();
  if (!(exact > 0)) return 0;
  if (exact >= 9.2e18L) return UINT64_MAX;  // for ever
  using Whole = std::chrono::duration<std::int64_t, std::nano>;
  return static_cast<std::uint64_t>(std::chrono::ceil<Whole>(span).count());
}

inline std::uint64_t time_of(std::chrono::steady_clock::time_point time) {
  return nanoseconds_of(time.time_since_epoch());
}

// Calls what may throw where nothing may be thrown: through functions of C. A thread that ends (pthread_exit, a cancellation) is unwound
// on.
template <class Call>
void keep_exception(std::exception_ptr& thrown, Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    thrown = std::current_exception();
  }
}

// A place for what a callable returns, or throws.
template <class T>
struct outcome {
  std::optional<T> value;
  std::exception_ptr thrown;

  template <class Call>
  void run(Call&& call) {
    keep_exception(thrown, [&] { value.emplace(std::forward<Call>(call)()); });
  }
  bool is_there() const { return value.has_value(); }
  T take() {
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*value);
  }
};
template <>
struct outcome<void> {
  bool returned = false;
  std::exception_ptr thrown;

  template <class Call>
  void run(Call&& call) {
    keep_exception(thrown, [&] {
      std::forward<Call>(call)();
      returned = true;
    });
  }
  bool is_there() const { return returned; }
  void take() {
    if (thrown) std::rethrow_exception(thrown);
  }
};

// Calls `call`, in which neither a cancellation nor a deadline ends a wait.
template <class Call>
void shielded(Call&& call) {
  using Function = std::remove_reference_t<Call>;
  std::exception_ptr thrown;
  struct Both {
    Function* function;
    std::exception_ptr* thrown;
  } both = {&call, &thrown};
  co_shield(
      [](void* given) {
        auto* two = static_cast<Both*>(given);
        keep_exception(*two->thrown, *two->function);
        return 0;
      },
      &both);
  if (thrown) std::rethrow_exception(thrown);
}

// For waits that have to succeed: a destructor's, a lock's.
template <class Wait>
void wait_through(Wait wait) {
  int error = wait();
  if (error == ECANCELED || error == ETIMEDOUT) shielded([&] { wait(); });
}

}  // namespace detail

// ---- Time

// CLOCK_MONOTONIC, which std::chrono::steady_clock is as well.
using clock = std::chrono::steady_clock;

// ECANCELED, ETIMEDOUT. A time that has passed: none, at once.
template <class Rep, class Period>
result<> sleep_for(std::chrono::duration<Rep, Period> span) {
  return detail::as_result(co_sleep(detail::nanoseconds_of(span)));
}
inline result<> sleep_until(clock::time_point time) { return detail::as_result(co_sleep_until(detail::time_of(time))); }
template <class Clock, class Duration>
result<> sleep_until(std::chrono::time_point<Clock, Duration> time) {
  return sleep_for(time - Clock::now());
}

// ---- Coroutines

enum class priority { low = CO_PRIORITY_LOW, normal = CO_PRIORITY_NORMAL, high = CO_PRIORITY_HIGH };

struct attributes {
  const char* name = nullptr;  // at most 15 bytes are kept; null: the creator's
  std::size_t stack_size = 0;  // 0: what pthread_create takes
  weft::priority priority = weft::priority::normal;
  co_runtime_t* runtime = nullptr;  // null: the creator's
};

// Workers of their own (0: one for each CPU) that run on these CPUs alone, for as long as the process lasts; see co_runtime_create.
inline result<co_runtime_t*> make_runtime(std::span<const unsigned> cpus, unsigned workers = 0) {
  co_runtime_t* made = nullptr;
  if (int error = co_runtime_create(&made, cpus.data(), cpus.size(), workers)) return error_of(error);
  return made;
}

// A coroutine by its number, for those who do not own it.
class coroutine_id {
 public:
  coroutine_id() = default;
  explicit coroutine_id(co_t number) : number_(number) {}

  co_t number() const { return number_; }
  explicit operator bool() const { return number_ != 0; }
  friend bool operator==(coroutine_id, coroutine_id) = default;

  // Ends its co_suspend, or lets the next one return at once. ESRCH.
  result<> resume() const { return detail::as_result(co_resume(number_)); }
  // Its waits end with ECANCELED from now on. ESRCH.
  result<> cancel() const { return detail::as_result(co_cancel(number_)); }
  result<> set_name(const char* name) const { return detail::as_result(co_set_name(number_, name)); }
  result<> set_priority(priority level) const {
    return detail::as_result(co_set_priority(number_, static_cast<int>(level)));
  }

 private:
  co_t number_ = 0;
};

namespace this_coroutine {

inline coroutine_id id() { return coroutine_id(co_self()); }  // none in a thread
// Others that are ready go first.
inline void yield() { co_yield_now(); }
// Until somebody resumes it; a resume that came before is not lost. EPERM (a thread), ECANCELED, ETIMEDOUT.
inline result<> suspend() { return detail::as_result(co_suspend()); }
// What a wait would end with now: for a loop that never waits.
inline result<> canceled() { return detail::as_result(co_canceled()); }

}  // namespace this_coroutine

inline void yield() { co_yield_now(); }
inline result<> suspend() { return this_coroutine::suspend(); }
inline result<> resume(coroutine_id who) { return who.resume(); }

namespace detail {

inline co_attr_t as_c(const attributes& wanted, bool detached) {
  return {sizeof(co_attr_t), wanted.stack_size, wanted.name, static_cast<int>(wanted.priority),
          detached,          wanted.runtime};
}

// What a coroutine and its handle share. The last of them gives it back.
template <class T>
class task {
 public:
  outcome<T> ended;

  virtual void run() = 0;

  void drop() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    // Nobody has been told, and nobody will be.
    if (detached_.load(std::memory_order_relaxed) && ended.thrown) std::rethrow_exception(ended.thrown);
    delete this;
  }
  void detach() {
    detached_.store(true, std::memory_order_relaxed);
    drop();
  }

  static void* main(void* self) {
    struct Owner {
      task* owned;
      ~Owner() { owned->drop(); }
    } owner{static_cast<task*>(self)};
    owner.owned->run();
    return nullptr;
  }

 protected:
  task() = default;
  virtual ~task() = default;

 private:
  std::atomic<int> owners_{2};
  std::atomic<bool> detached_{false};
};

template <class T, class Function, class... Arguments>
class task_of final : public task<T> {
 public:
  template <class F, class... A>
  explicit task_of(F&& function, A&&... arguments)
      : function_(std::forward<F>(function)), arguments_(std::forward<A>(arguments)...) {}
  void run() override {
    this->ended.run([&]() -> T { return static_cast<T>(std::apply(std::move(function_), std::move(arguments_))); });
  }

 private:
  Function function_;
  std::tuple<Arguments...> arguments_;
};

template <class Function, class... Arguments>
using returned_t = std::decay_t<std::invoke_result_t<std::decay_t<Function>, std::decay_t<Arguments>...>>;

}  // namespace detail

// A coroutine that somebody owns. Movable; its destructor cancels it and waits for its end, and what it returned or threw is lost then.
template <class T = void>
class coroutine {
 public:
  coroutine() = default;
  coroutine(coroutine&& other) noexcept
      : number_(std::exchange(other.number_, 0)), task_(std::exchange(other.task_, nullptr)) {}
  coroutine& operator=(coroutine&& other) noexcept {
    if (this != &other) {
      end();
      number_ = std::exchange(other.number_, 0);
      task_ = std::exchange(other.task_, nullptr);
    }
    return *this;
  }
  ~coroutine() { end(); }

  bool joinable() const { return task_ != nullptr; }
  coroutine_id id() const { return coroutine_id(number_); }

  // Waits for its end. What its function returned, or throws what it threw. ESRCH: nothing to join. EDEADLK: it is the caller. ECANCELED,
  // ETIMEDOUT: the caller's wait has ended, and it can be joined still; or the coroutine was ended by pthread_exit or pthread_cancel, and
  // there is nothing to join any more.
  result<T> join() {
    if (!task_) return error_of(ESRCH);
    if (int error = co_join(number_, nullptr)) return error_of(error);
    struct Owner {
      detail::task<T>* owned;
      ~Owner() { owned->drop(); }
    } owner{std::exchange(task_, nullptr)};
    number_ = 0;
    detail::outcome<T>& ended = owner.owned->ended;
    if (!ended.thrown && !ended.is_there()) return error_of(ECANCELED);
    if constexpr (std::is_void_v<T>) {
      ended.take();
      return {};
    } else {
      return ended.take();
    }
  }

  // Ends its waits. ESRCH.
  result<> cancel() { return id().cancel(); }

  // It goes on alone. ESRCH.
  result<> detach() {
    if (!task_) return error_of(ESRCH);
    int error = co_detach(std::exchange(number_, 0));
    std::exchange(task_, nullptr)->detach();
    return detail::as_result(error);
  }

  // The same as spawn() below.
  template <class Function, class... Arguments>
  static result<coroutine> begin(const attributes& wanted, Function&& function, Arguments&&... arguments) {
    using Task = detail::task_of<T, std::decay_t<Function>, std::decay_t<Arguments>...>;
    auto* task = new (std::nothrow) Task(std::forward<Function>(function), std::forward<Arguments>(arguments)...);
    if (!task) return error_of(ENOMEM);
    coroutine made;
    co_attr_t as_c = detail::as_c(wanted, false);
    int error = co_spawn(&made.number_, detail::task<T>::main, static_cast<detail::task<T>*>(task), &as_c);
    if (error) {
      task->drop();
      task->drop();
      return error_of(error);
    }
    made.task_ = task;
    return made;
  }

 private:
  void end() noexcept {
    if (!task_) return;
    co_cancel(number_);
    detail::wait_through([this] { return co_join(number_, nullptr); });
    std::exchange(task_, nullptr)->drop();
    number_ = 0;
  }

  co_t number_ = 0;
  detail::task<T>* task_ = nullptr;
};

// Makes a coroutine that calls function(arguments…), all of them copied or moved into it first. EAGAIN, ENOSYS, ENOMEM.
template <class Function, class... Arguments>
requires std::invocable<std::decay_t<Function>, std::decay_t<Arguments>...>
    result<coroutine<detail::returned_t<Function, Arguments...>>> spawn(const attributes& wanted, Function&& function,
                                                                        Arguments&&... arguments) {
  using Returned = detail::returned_t<Function, Arguments...>;
  return coroutine<Returned>::begin(wanted, std::forward<Function>(function), std::forward<Arguments>(arguments)...);
}
template <class Function, class... Arguments>
requires std::invocable<std::decay_t<Function>, std::decay_t<Arguments>...>
    result<coroutine<detail::returned_t<Function, Arguments...>>> spawn(Function&& function, Arguments&&... arguments) {
  return spawn(attributes{}, std::forward<Function>(function), std::forward<Arguments>(arguments)...);
}

// A value of each coroutine and each thread, made at its first use there and destroyed at its end. Better a thread_local variable, where
// it can be one.
template <class T>
class coroutine_local {
 public:
  coroutine_local() {
    if (co_key_create(&key_, [](void* value) { delete static_cast<T*>(value); }) == 0) is_there_ = true;
  }
  coroutine_local(const coroutine_local&) = delete;
  coroutine_local& operator=(const coroutine_local&) = delete;
  // The values of others than the caller are not destroyed any more.
  ~coroutine_local() {
    if (!is_there_) return;
    delete static_cast<T*>(co_get_local(key_));
    co_key_delete(key_);
  }

  // The caller's own. Null: there is no memory, or there are too many keys.
  T* get() {
    if (!is_there_) return nullptr;
    if (void* had = co_get_local(key_)) return static_cast<T*>(had);
    std::unique_ptr<T> made(new (std::nothrow) T());
    if (!made || co_set_local(key_, made.get())) return nullptr;
    return made.release();
  }
  T& operator*() { return *get(); }
  T* operator->() { return get(); }

 private:
  co_key_t key_ = 0;
  bool is_there_ = false;
};

// ---- Deadlines and shields

// Calls function(), in which waits end with ETIMEDOUT once that long has passed; what it returns, as a result. EPERM: the caller is a
// thread, and nothing has been called.
template <class Rep, class Period, std::invocable Function>
detail::resulting_t<std::invoke_result_t<Function>> with_deadline(std::chrono::duration<Rep, Period> span,
                                                                  Function&& function) {
  struct Limited {
    co_deadline_t state;
    int error;
    ~Limited() {
      if (!error) co_deadline_end(&state);
    }
  } limited;
  limited.error = co_deadline_begin(&limited.state, detail::nanoseconds_of(span));
  if (limited.error) return error_of(limited.error);
  if constexpr (std::is_void_v<std::invoke_result_t<Function>>) {
    std::forward<Function>(function)();
    return {};
  } else {
    return std::forward<Function>(function)();
  }
}

// Calls function(), in which neither a cancellation nor a deadline ends a wait: for what must be finished. What it returns.
template <std::invocable Function>
std::invoke_result_t<Function> shield(Function&& function) {
  if constexpr (std::is_void_v<std::invoke_result_t<Function>>) {
    detail::shielded(function);
  } else {
    std::optional<std::invoke_result_t<Function>> value;
    detail::shielded([&] { value.emplace(std::forward<Function>(function)()); });
    return std::move(*value);
  }
}

// ---- Scopes

// Children that end before it does. The first child that fails cancels the others: by an exception, or by returning an error (an int that
// is not 0, a std::error_code, a result without a value).
class scope {
 public:
  scope() { co_scope_init(&scope_); }
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;
  // Cancels its children and waits for them; their errors and exceptions are lost.
  ~scope() {
    co_scope_cancel(&scope_);
    detail::wait_through([this] { return co_scope_wait(&scope_); });
  }

  // As weft::spawn, and ECANCELED: the scope has been cancelled, or a child has failed.
  template <class Function, class... Arguments>
  requires std::invocable<std::decay_t<Function>, std::decay_t<Arguments>...> result<> spawn(const attributes& wanted,
                                                                                             Function&& function,
                                                                                             Arguments&&... arguments) {
    using Child = child_of<std::decay_t<Function>, std::decay_t<Arguments>...>;
    std::unique_ptr<child> made(
        new (std::nothrow) Child(this, std::forward<Function>(function), std::forward<Arguments>(arguments)...));
    if (!made) return error_of(ENOMEM);
    co_attr_t as_c = detail::as_c(wanted, false);
    int error = co_scope_spawn(
        &scope_,
        [](void* given) {
          std::unique_ptr<child> self(static_cast<child*>(given));
          return self->run();
        },
        made.get(), &as_c);
    if (!error) static_cast<void>(made.release());
    return detail::as_result(error);
  }
  template <class Function, class... Arguments>
  requires std::invocable<std::decay_t<Function>, std::decay_t<Arguments>...> result<> spawn(Function&& function,
                                                                                             Arguments&&... arguments) {
    return spawn(attributes{}, std::forward<Function>(function), std::forward<Arguments>(arguments)...);
  }

  // Cancels its children, and those that are still to come.
  void cancel() { co_scope_cancel(&scope_); }

  // Waits for all children. Throws the first one's exception if that was the first failure, else its error. A caller that is cancelled or
  // passes a deadline meanwhile cancels the children, waits for them all the same, and gets that error. It may be used again afterwards.
  result<> wait() {
    int error = co_scope_wait(&scope_);
    failed_.store(false, std::memory_order_relaxed);
    if (std::exception_ptr thrown = std::exchange(thrown_, nullptr)) std::rethrow_exception(thrown);
    return detail::as_result(error);
  }

 private:
  struct child {
    virtual ~child() = default;
    virtual int run() = 0;
  };

  static int error_in(int error) { return error; }
  static int error_in(const std::error_code& error) { return error.value(); }
  template <class T>
  static int error_in(const result<T>& returned) {
    return returned ? 0 : returned.error().value();
  }
  template <class T>
  static int error_in(const T&) {
    return 0;
  }

  template <class Function, class... Arguments>
  struct child_of final : child {
    template <class F, class... A>
    explicit child_of(scope* owner, F&& given, A&&... with)
        : parent(owner), function(std::forward<F>(given)), arguments(std::forward<A>(with)...) {}
    int run() override {
      int error = 0;
      std::exception_ptr thrown;
      detail::keep_exception(thrown, [&] {
        if constexpr (std::is_void_v<std::invoke_result_t<Function, Arguments...>>)
          std::apply(std::move(function), std::move(arguments));
        else
          error = error_in(std::apply(std::move(function), std::move(arguments)));
      });
      if (!error && !thrown) return 0;
      // Of several that fail at once one is the first. wait() reads it after the last of them.
      if (!parent->failed_.exchange(true, std::memory_order_relaxed)) parent->thrown_ = thrown;
      return error ? error : ECANCELED;
    }
    scope* parent;
    Function function;
    std::tuple<Arguments...> arguments;
  };

  co_scope_t scope_;
  std::atomic<bool> failed_{false};
  std::exception_ptr thrown_;
};

// ---- Locks. lock() and its kin are what std::unique_lock, std::scoped_lock and std::shared_lock want: they wait whatever comes. acquire()
// ends with ECANCELED or ETIMEDOUT, and holds nothing then.

class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock() {
    detail::wait_through([this] { return co_mutex_lock(&mutex_); });
  }
  bool try_lock() { return co_mutex_trylock(&mutex_) == 0; }
  void unlock() { co_mutex_unlock(&mutex_); }
  result<> acquire() { return detail::as_result(co_mutex_lock(&mutex_)); }

  co_mutex_t* native_handle() { return &mutex_; }

 private:
  co_mutex_t mutex_ = CO_MUTEX_INIT;
};

class condition {
 public:
  condition() = default;
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  // May return without a notification. With an error too the lock is held again. EPERM: it was not; ECANCELED, ETIMEDOUT.
  result<> wait(std::unique_lock<mutex>& lock) {
    if (!lock.owns_lock()) return error_of(EPERM);
    return detail::as_result(co_cond_wait(&condition_, lock.mutex()->native_handle()));
  }
  // Until done(). With an error done() was false when it was looked at last.
  template <std::predicate Done>
  result<> wait(std::unique_lock<mutex>& lock, Done done) {
    while (!done()) {
      result<> waited = wait(lock);
      if (!waited) return done() ? result<>() : waited;
    }
    return {};
  }
  void notify_one() { co_cond_signal(&condition_); }
  void notify_all() { co_cond_broadcast(&condition_); }

 private:
  co_cond_t condition_ = CO_COND_INIT;
};

class semaphore {
 public:
  explicit semaphore(std::uint32_t count = 0) : semaphore_ CO_SEM_INIT(count) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  result<> acquire() { return detail::as_result(co_sem_wait(&semaphore_)); }
  bool try_acquire() { return co_sem_trywait(&semaphore_) == 0; }
  result<> release() { return detail::as_result(co_sem_post(&semaphore_)); }  // EOVERFLOW

 private:
  co_sem_t semaphore_;
};

// Writers go before readers that come after them.
class rwlock {
 public:
  rwlock() = default;
  rwlock(const rwlock&) = delete;
  rwlock& operator=(const rwlock&) = delete;

  void lock() {
    detail::wait_through([this] { return co_rwlock_wrlock(&lock_); });
  }
  bool try_lock() { return co_rwlock_trywrlock(&lock_) == 0; }
  void unlock() { co_rwlock_unlock(&lock_); }
  void lock_shared() {
    detail::wait_through([this] { return co_rwlock_rdlock(&lock_); });
  }
  bool try_lock_shared() { return co_rwlock_tryrdlock(&lock_) == 0; }
  void unlock_shared() { co_rwlock_unlock(&lock_); }
  result<> acquire() { return detail::as_result(co_rwlock_wrlock(&lock_)); }
  result<> acquire_shared() { return detail::as_result(co_rwlock_rdlock(&lock_)); }

 private:
  co_rwlock_t lock_ = CO_RWLOCK_INIT;
};

// One call of all that are tried runs, whoever comes first; the others wait until it has returned, whatever their deadlines. If it throws,
// its caller gets the exception and the next one runs.
class once {
 public:
  once() = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  template <std::invocable Function>
  void call(Function&& function) {
    if (done_.load(std::memory_order_acquire)) return;
    std::lock_guard<mutex> locked(mutex_);
    if (done_.load(std::memory_order_relaxed)) return;
    std::forward<Function>(function)();
    done_.store(true, std::memory_order_release);
  }

 private:
  mutex mutex_;
  std::atomic<bool> done_{false};
};

// Counts work that is going on.
class wait_group {
 public:
  wait_group() = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  result<> add(int count = 1) { return detail::as_result(co_wait_group_add(&group_, count)); }  // EINVAL, EOVERFLOW
  result<> done() { return detail::as_result(co_wait_group_done(&group_)); }
  result<> wait() { return detail::as_result(co_wait_group_wait(&group_)); }

 private:
  co_wait_group_t group_ = CO_WAIT_GROUP_INIT;
};

// ---- Channels and mailboxes

inline constexpr std::size_t unbounded = CO_UNBOUNDED;

namespace detail {

// What of a T goes through a queue of bytes: itself where it may be copied so, else a pointer to one that has been moved out of its
// sender's hands.
template <class T>
inline constexpr bool goes_as_bytes = std::is_trivially_copyable_v<T>;

// A value on its way out. Until it has been sent it is its sender's.
template <class T>
class parcel {
 public:
  explicit parcel(T& value) : value_(value) {}
  parcel(parcel&& other) = delete;
  ~parcel() {
    if constexpr (!goes_as_bytes<T>)
      if (box_) value_ = std::move(*box_);
  }

  // The bytes to send; null: there is no memory.
  void* bytes() {
    if constexpr (goes_as_bytes<T>) {
      return std::addressof(value_);
    } else {
      box_.reset(new (std::nothrow) T(std::move(value_)));
      pointer_ = box_.get();
      return pointer_ ? &pointer_ : nullptr;
    }
  }
  void sent() {
    if constexpr (!goes_as_bytes<T>) static_cast<void>(box_.release());
  }

 private:
  T& value_;
  std::unique_ptr<T> box_;
  T* pointer_ = nullptr;
};

// A value that comes in.
template <class T>
class arrival {
 public:
  static constexpr std::size_t kSize = goes_as_bytes<T> ? sizeof(T) : sizeof(T*);

  void* bytes() { return room_; }
  T take() {
    if constexpr (goes_as_bytes<T>) {
      return *std::launder(reinterpret_cast<T*>(room_));
    } else {
      std::unique_ptr<T> box(pointer());
      return std::move(*box);
    }
  }
  void discard() {
    if constexpr (!goes_as_bytes<T>) delete pointer();
  }

 private:
  T* pointer() const {
    T* value;
    std::memcpy(&value, room_, sizeof value);
    return value;
  }
  alignas(T) alignas(void*) unsigned char room_[kSize];
};

// Sends by `call(bytes)`, which says 0 or an error.
template <class T, class Call>
result<> send(T& value, Call call) {
  parcel<T> one(value);
  void* bytes = one.bytes();
  if (!bytes) return error_of(ENOMEM);
  int error = call(bytes);
  if (!error) one.sent();
  return as_result(error);
}

template <class T, class Call>
result<T> receive(Call call) {
  arrival<T> one;
  if (int error = call(one.bytes())) return error_of(error);
  return one.take();
}

// For range-for over what comes in, until there is nothing more.
template <class Queue>
class arrivals {
 public:
  using value_type = typename Queue::value_type;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  arrivals() = default;
  explicit arrivals(Queue* queue) : queue_(queue) { ++*this; }
  value_type& operator*() const { return *value_; }
  arrivals& operator++() {
    result<value_type> next = queue_->recv();
    value_.reset();
    if (next) value_.emplace(std::move(next).value());
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const arrivals& one, std::default_sentinel_t) { return !one.value_; }

 private:
  Queue* queue_ = nullptr;
  mutable std::optional<value_type> value_;
};

}  // namespace detail

// Values first in, first out. T is movable; one that is not trivially copyable is in memory of its own on the way. Everything that uses it
// has ended before it goes; what it still holds goes with it. One that could not be made (no memory) is false, and every call says EINVAL.
template <class T>
class channel {
 public:
  using value_type = T;
  static_assert(detail::goes_as_bytes<T> || (std::movable<T>), "values are moved in and out");

  // 0: a sender waits for its receiver; unbounded: a sender never waits.
  explicit channel(std::size_t capacity = 0) {
    if (co_chan_create(&channel_, detail::arrival<T>::kSize, capacity)) channel_ = nullptr;
  }
  channel(channel&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  channel& operator=(channel&& other) noexcept {
    std::swap(channel_, other.channel_);
    return *this;
  }
  ~channel() {
    if (!channel_) return;
    detail::arrival<T> left;
    while (co_chan_tryrecv(channel_, left.bytes()) == 0) left.discard();
    co_chan_destroy(channel_);
  }
  explicit operator bool() const { return channel_ != nullptr; }

  // EPIPE: closed. ENOMEM, ECANCELED, ETIMEDOUT; try_send: EAGAIN, it would wait. A value that has not been sent is still there.
  result<> send(T&& value) {
    return detail::send(value, [this](void* bytes) { return co_chan_send(channel_, bytes); });
  }
  result<> send(const T& value) {
    T copy(value);
    return send(std::move(copy));
  }
  result<> try_send(T&& value) {
    return detail::send(value, [this](void* bytes) { return co_chan_trysend(channel_, bytes); });
  }
  result<> try_send(const T& value) {
    T copy(value);
    return try_send(std::move(copy));
  }

  // EPIPE: closed and empty. ECANCELED, ETIMEDOUT; try_recv: EAGAIN.
  result<T> recv() {
    return detail::receive<T>([this](void* bytes) { return co_chan_recv(channel_, bytes); });
  }
  result<T> try_recv() {
    return detail::receive<T>([this](void* bytes) { return co_chan_tryrecv(channel_, bytes); });
  }

  // It takes no more; what it holds can still be received. EPIPE: it was closed already.
  result<> close() { return detail::as_result(co_chan_close(channel_)); }
  std::size_t size() const { return channel_ ? co_chan_length(channel_) : 0; }

  // Each value as it comes, until it is closed and empty, or the caller's waits end.
  detail::arrivals<channel> begin() { return detail::arrivals<channel>(this); }
  std::default_sentinel_t end() const { return {}; }

  co_chan_t* native_handle() { return channel_; }

 private:
  co_chan_t* channel_ = nullptr;
};

// Messages to an actor: bounded, each sender's in order, and senders take turns. Used like a channel.
template <class T>
class mailbox {
 public:
  using value_type = T;
  static_assert(detail::goes_as_bytes<T> || (std::movable<T>), "messages are moved in and out");

  // name: for the inspector. capacity: not 0.
  explicit mailbox(std::size_t capacity = 64, const char* name = nullptr) {
    if (co_mailbox_create(&mailbox_, detail::arrival<T>::kSize, capacity, name)) mailbox_ = nullptr;
  }
  mailbox(mailbox&& other) noexcept : mailbox_(std::exchange(other.mailbox_, nullptr)) {}
  mailbox& operator=(mailbox&& other) noexcept {
    std::swap(mailbox_, other.mailbox_);
    return *this;
  }
  ~mailbox() {
    if (!mailbox_) return;
    detail::arrival<T> left;
    while (co_mailbox_tryrecv(mailbox_, left.bytes()) == 0) left.discard();
    co_mailbox_destroy(mailbox_);
  }
  explicit operator bool() const { return mailbox_ != nullptr; }

  // EPIPE: closed. ENOMEM, ECANCELED, ETIMEDOUT; try_send: EAGAIN, it is full. A message that has not been sent is still there.
  result<> send(T&& message) {
    return detail::send(message, [this](void* bytes) { return co_mailbox_send(mailbox_, bytes); });
  }
  result<> send(const T& message) {
    T copy(message);
    return send(std::move(copy));
  }
  result<> try_send(T&& message) {
    return detail::send(message, [this](void* bytes) { return co_mailbox_trysend(mailbox_, bytes); });
  }
  result<> try_send(const T& message) {
    T copy(message);
    return try_send(std::move(copy));
  }

  // EPIPE: closed and empty. ECANCELED, ETIMEDOUT; try_recv: EAGAIN.
  result<T> recv() {
    return detail::receive<T>([this](void* bytes) { return co_mailbox_recv(mailbox_, bytes); });
  }
  result<T> try_recv() {
    return detail::receive<T>([this](void* bytes) { return co_mailbox_tryrecv(mailbox_, bytes); });
  }

  result<> close() { return detail::as_result(co_mailbox_close(mailbox_)); }  // EPIPE: it was closed already
  co_mailbox_stats_t stats() const {
    co_mailbox_stats_t figures = {};
    if (mailbox_) co_mailbox_get_stats(mailbox_, &figures);
    return figures;
  }

  detail::arrivals<mailbox> begin() { return detail::arrivals<mailbox>(this); }
  std::default_sentinel_t end() const { return {}; }

  co_mailbox_t* native_handle() { return mailbox_; }

 private:
  co_mailbox_t* mailbox_ = nullptr;
};

// A coroutine and its mailbox. Its destructor closes the mailbox, lets it finish what is in there, and waits for its end.
template <class T>
class actor {
 public:
  struct settings {
    std::size_t capacity = 64;
    weft::attributes attributes = {};  // the name is the mailbox's as well
  };

  // Calls body(mailbox<T>&), which returns when the mailbox is closed and empty, or earlier. What it returns is lost.
  template <std::invocable<mailbox<T>&> Body>
  static result<actor> begin(Body&& body, const settings& wanted = {}) {
    actor made;
    made.mailbox_.reset(new (std::nothrow) mailbox<T>(wanted.capacity, wanted.attributes.name));
    if (!made.mailbox_) return error_of(ENOMEM);
    if (!*made.mailbox_) return error_of(wanted.capacity ? ENOMEM : EINVAL);
    auto run = [of = made.mailbox_.get(), call = std::decay_t<Body>(std::forward<Body>(body))]() mutable { call(*of); };
    result<coroutine<>> begun = weft::spawn(wanted.attributes, std::move(run));
    if (!begun) return begun.error();
    made.coroutine_ = std::move(*begun);
    return made;
  }

  actor() = default;
  actor(actor&&) noexcept = default;
  actor& operator=(actor&& other) noexcept {
    if (this != &other) {
      finish();
      mailbox_ = std::move(other.mailbox_);
      coroutine_ = std::move(other.coroutine_);
    }
    return *this;
  }
  ~actor() { finish(); }

  // As mailbox's.
  result<> send(T&& message) { return mailbox_->send(std::move(message)); }
  result<> send(const T& message) { return mailbox_->send(message); }
  result<> try_send(T&& message) { return mailbox_->try_send(std::move(message)); }
  result<> try_send(const T& message) { return mailbox_->try_send(message); }
  co_mailbox_stats_t stats() const { return mailbox_->stats(); }

  // No message more. EPIPE: it was closed already.
  result<> close() { return mailbox_->close(); }
  // Waits for its end, which may be long in coming where nobody closes. Throws what body threw.
  result<> join() { return coroutine_.join(); }
  coroutine_id id() const { return coroutine_.id(); }

 private:
  void finish() noexcept {
    if (!mailbox_ || !coroutine_.joinable()) return;
    static_cast<void>(mailbox_->close());
    std::exception_ptr unasked;
    detail::keep_exception(unasked, [this] { detail::shielded([this] { static_cast<void>(coroutine_.join()); }); });
  }

  std::unique_ptr<mailbox<T>> mailbox_;
  coroutine<> coroutine_;  // goes before the mailbox
};

// ---- Select

namespace detail {

template <class T, class Then>
class recv_case {
 public:
  recv_case(channel<T>& from, Then then) : from_(from), then_(std::move(then)) {}
  bool prepare(co_select_case_t& one) {
    one.kind = CO_SELECT_RECV;
    one.chan = from_.native_handle();
    one.value = arrival_.bytes();
    return true;
  }
  void finish(int error) { error ? then_(result<T>(error_of(error))) : then_(result<T>(arrival_.take())); }

 private:
  channel<T>& from_;
  Then then_;
  arrival<T> arrival_;
};

template <class T, class Then>
class send_case {
 public:
  send_case(channel<T>& to, T& value, Then then) : to_(to), parcel_(value), then_(std::move(then)) {}
  bool prepare(co_select_case_t& one) {
    one.kind = CO_SELECT_SEND;
    one.chan = to_.native_handle();
    one.value = parcel_.bytes();
    return one.value != nullptr;
  }
  void finish(int error) {
    if (!error) parcel_.sent();
    then_(as_result(error));
  }

 private:
  channel<T>& to_;
  parcel<T> parcel_;
  Then then_;
};

template <class Then>
class fd_case {
 public:
  fd_case(int kind, int fd, Then then) : kind_(kind), fd_(fd), then_(std::move(then)) {}
  bool prepare(co_select_case_t& one) {
    one.kind = kind_;
    one.fd = fd_;
    return true;
  }
  void finish(int error) { then_(as_result(error)); }

 private:
  int kind_, fd_;
  Then then_;
};

template <class Then>
class time_case {
 public:
  time_case(std::uint64_t time, Then then) : time_(time), then_(std::move(then)) {}
  bool prepare(co_select_case_t& one) {
    one.kind = CO_SELECT_TIME;
    one.time = time_;
    return true;
  }
  void finish(int) { then_(); }

 private:
  std::uint64_t time_;
  Then then_;
};

template <class... Cases>
result<std::size_t> select(int (*call)(co_select_case_t*, std::size_t, std::size_t*), Cases&... cases) {
  co_select_case_t each[sizeof...(Cases) + 1] = {};
  std::size_t next = 0, chosen = 0;
  if (!(cases.prepare(each[next++]) && ...)) return error_of(ENOMEM);
  if (int error = call(each, sizeof...(Cases), &chosen)) return error_of(error);
  next = 0;
  (void)((next++ == chosen ? (cases.finish(each[chosen].error), true) : false) || ...);
  return chosen;
}

}  // namespace detail

// The cases of a select. `then` is called for the one that has happened, when the select is over.
// then(result<T>): the value, or EPIPE.
template <class T, std::invocable<result<T>> Then>
detail::recv_case<T, Then> on_recv(channel<T>& from, Then then) {
  return {from, std::move(then)};
}
// then(result<>): sent, or EPIPE. A value that has not been sent is still there.
template <class T, std::invocable<result<>> Then>
detail::send_case<T, Then> on_send(channel<T>& to, std::type_identity_t<T>&& value, Then then) {
  return {to, value, std::move(then)};
}
// then(result<>): a read (a write) would not wait; EBADF.
template <std::invocable<result<>> Then>
detail::fd_case<Then> on_readable(int fd, Then then) {
  return {CO_SELECT_READ, fd, std::move(then)};
}
template <std::invocable<result<>> Then>
detail::fd_case<Then> on_writable(int fd, Then then) {
  return {CO_SELECT_WRITE, fd, std::move(then)};
}
// then(): that long after the case was made; or at that time.
template <class Rep, class Period, std::invocable Then>
detail::time_case<Then> after(std::chrono::duration<Rep, Period> span, Then then) {
  const std::uint64_t now = co_now(), length = detail::nanoseconds_of(span);
  return {length < UINT64_MAX - now ? now + length : UINT64_MAX, std::move(then)};
}
template <std::invocable Then>
detail::time_case<Then> at(clock::time_point time, Then then) {
  return {detail::time_of(time), std::move(then)};
}

// Waits for the first of the cases, and says which it was. Of several that could happen at once any may be. EPERM: a descriptor that cannot
// be polled; ENOMEM, ECANCELED, ETIMEDOUT.
template <class... Cases>
result<std::size_t> select(Cases&&... cases) {
  return detail::select(co_select, cases...);
}
// The same without waiting. EAGAIN: none could happen.
template <class... Cases>
result<std::size_t> try_select(Cases&&... cases) {
  return detail::select(co_tryselect, cases...);
}

// ---- Work that does not wait, and servers

// Calls function(arguments…) on a kernel thread of its own while other coroutines go on; what it returns, or throws what it throws.
// ECANCELED, ETIMEDOUT: it had to wait for its turn, and has not been called.
template <class Function, class... Arguments>
requires std::invocable<Function, Arguments...> result<detail::returned_t<Function, Arguments...>> offload(
    Function&& function, Arguments&&... arguments) {
  using Returned = detail::returned_t<Function, Arguments...>;
  detail::outcome<Returned> ended;
  auto call = [&] {
    ended.run([&] { return std::invoke(std::forward<Function>(function), std::forward<Arguments>(arguments)...); });
  };
  using Call = decltype(call);
  int error = co_offload(
      [](void* given) -> void* {
        (*static_cast<Call*>(given))();
        return nullptr;
      },
      &call, nullptr);
  if (error) return error_of(error);
  if constexpr (std::is_void_v<Returned>) {
    ended.take();
    return {};
  } else {
    return ended.take();
  }
}
inline result<> offload_limit(unsigned count) { return detail::as_result(co_offload_limit(count)); }  // EINVAL: 0

// Accepts connections and serves each in a coroutine of its own by handler(fd), which closes fd. Returns why the socket accepts no more; see
// co_listen_and_serve. Coroutines that still serve go on, so the handler lives until they have ended.
template <std::invocable<int> Handler>
result<> listen_and_serve(int fd, Handler& handler) {
  void* shared = const_cast<void*>(static_cast<const void*>(std::addressof(handler)));
  return detail::as_result(co_listen_and_serve(
      fd, [](int connection, void* given) { (*static_cast<Handler*>(given))(connection); }, shared));
}
// One without anything in it may be written in place.
template <std::invocable<int> Handler>
requires(
    std::is_empty_v<std::remove_cvref_t<Handler>>&& std::is_default_constructible_v<std::remove_cvref_t<Handler>> &&
    !std::is_lvalue_reference_v<Handler>) result<> listen_and_serve(int fd, Handler&&) {
  return detail::as_result(co_listen_and_serve(
      fd, [](int connection, void*) { Handler{}(connection); }, nullptr));
}

}  // namespace weft

#endif
