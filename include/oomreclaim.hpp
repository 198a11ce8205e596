/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaim for C++17: a registration, a shrinker or a group that ends with its object, a pointer
 * to what may be taken away, a scope or a stay in a group that ends with its block, and a memory
 * resource for std::pmr. Header-only, around oomreclaim.h; with OOMRECLAIM_OPTIONAL everything here
 * does nothing where the library is absent. It needs exceptions; without RTTI a memory resource
 * equals itself only.
 */
#ifndef OOMRECLAIM_HPP
#define OOMRECLAIM_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cxxabi.h>
#include <functional>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <oomreclaim.h>

namespace oomreclaim
{

/* What registrations and shrinkers share: functions that stay where they are when the object moves,
   and the handle. A function may end its own registration, by reset(), a move or the destructor:
   the call that it is in keeps it, with all that it has captured, until it returns. */
template <class Functions> class registered
{
public:
	registered() noexcept = default;

	registered(registered &&other) noexcept
	    : functions_(std::move(other.functions_)), handle_(std::exchange(other.handle_, 0))
	{
	}

	registered &operator=(registered &&other) noexcept
	{
		if (this != &other) {
			reset();
			functions_ = std::move(other.functions_);
			handle_ = std::exchange(other.handle_, 0);
		}
		return *this;
	}

	registered(const registered &) = delete;
	registered &operator=(const registered &) = delete;

	~registered()
	{
		reset();
	}

	/* Ends the registration, and waits for a call on another thread. Returns the error of
	   oomreclaim_unregister(), or 0 where the object is false. EDEADLK comes inside of a
	   callback that the call waits for in its turn: the registration has ended, but the call
	   goes on. The call keeps its function, with all that is captured by value. What is
	   captured by reference has to last until the call returns. A move and the destructor do
	   the same, and can't tell it: functions that may end each other should have what they use
	   by std::shared_ptr. */
	int reset() noexcept
	{
		const int error =
			handle_ != 0 ? oomreclaim_unregister(std::exchange(handle_, 0)) : 0;

		functions_.reset();
		return error;
	}

	/* False where the library is absent, or after a move or reset(). */
	explicit operator bool() const noexcept
	{
		return handle_ != 0;
	}

	/* For the functions of oomreclaim.h; 0 where the object is false. */
	oomreclaim_handle handle() const noexcept
	{
		return handle_;
	}

	struct oomreclaim_callback_stats stats() const
	{
		struct oomreclaim_callback_stats stats {
		};

		if (handle_ != 0)
			oomreclaim_callback_stats(handle_, &stats, sizeof stats);
		return stats;
	}

protected:
	/* The argument of the C functions. */
	struct held : std::enable_shared_from_this<held> {
		explicit held(Functions given) : functions(std::move(given))
		{
		}

		Functions functions;
	};

	explicit registered(Functions functions)
	    : functions_(std::make_shared<held>(std::move(functions)))
	{
	}

	/* The functions, for the time of a call. */
	static std::shared_ptr<Functions> hold(void *arg)
	{
		std::shared_ptr<held> kept = static_cast<held *>(arg)->shared_from_this();

		return {kept, &kept->functions};
	}

	/* What the call returns; `thrown` where it throws, as no frame above could catch that.
	   pthread_exit() unwinds the stack too: a handler that stops it ends the process. */
	template <class Call> static std::size_t call_or(std::size_t thrown, Call call)
	{
		try {
			return call();
#ifdef __GLIBCXX__
		} catch (const abi::__forced_unwind &) {
			throw;
#endif
		} catch (...) {
			return thrown;
		}
	}

	static void check(int error, const char *what)
	{
		if (error != 0)
			throw std::system_error(error, std::generic_category(), what);
	}

	std::shared_ptr<held> functions_;
	oomreclaim_handle handle_ = 0;
};

/*
 * A callback for as long as the object lives. Its function is called as size_t(const
 * oomreclaim_control &) and follows the rules of oomreclaim_callback; what it throws all the same
 * counts as "nothing given back", and pthread_exit() ends the thread as without this class. The
 * destructor waits for a call on another thread: hold no lock there that the function waits for. It
 * does not wait inside of a callback that this call waits for: see reset().
 */
class registration : public registered<std::function<std::size_t(const oomreclaim_control &)>>
{
public:
	using function = std::function<std::size_t(const oomreclaim_control &)>;

	registration() noexcept = default;

	/* Throws std::system_error with oomreclaim_register()'s error. */
	registration(const std::string &name, function callback,
	             int priority = OOMRECLAIM_PRIORITY_DEFAULT, unsigned flags = 0)
	    : registered(std::move(callback))
	{
		if (oomreclaim_available())
			check(oomreclaim_register(name.c_str(), priority, flags, call,
			                          functions_.get(), &handle_),
			      "oomreclaim_register");
	}

private:
	static std::size_t call(const oomreclaim_control *control, void *arg)
	{
		const auto kept = hold(arg);

		return call_or(0, [&] { return (*kept)(*control); });
	}
};

/* How the shrinkers of a priority are compared; the members of oomreclaim_shrinker. */
struct shrinker_options {
	unsigned cost = OOMRECLAIM_COST_DEFAULT;
	std::size_t batch = 0;
	int priority = OOMRECLAIM_PRIORITY_DEFAULT;
	unsigned flags = 0;
};

/*
 * A shrinker for as long as the object lives: count() says what there is, as size_t(), and scan()
 * frees about so much, as size_t(size_t bytes_wanted) or size_t(const oomreclaim_control &). Both
 * are under the rules of registration's function, and may return OOMRECLAIM_STOP; what they throw
 * counts as that.
 */
struct shrinker_functions {
	std::function<std::size_t()> count;
	std::function<std::size_t(const oomreclaim_control &)> scan;
};

class shrinker : public registered<shrinker_functions>
{
public:
	shrinker() noexcept = default;

	/* Throws std::system_error with oomreclaim_shrinker_register()'s error. */
	template <class Count, class Scan>
	shrinker(const std::string &name, Count count, Scan scan,
	         const shrinker_options &options = {})
	    : registered({std::move(count), with_control(std::move(scan))})
	{
		struct oomreclaim_shrinker made {
		};

		made.name = name.c_str();
		made.priority = options.priority;
		made.flags = options.flags;
		made.count = call_count;
		made.scan = call_scan;
		made.arg = functions_.get();
		made.cost = options.cost;
		made.batch = options.batch;
		if (oomreclaim_available())
			check(oomreclaim_shrinker_register(&made, sizeof made, &handle_),
			      "oomreclaim_shrinker_register");
	}

	/* How large the cache should be now: oomreclaim_cache_target(). SIZE_MAX where the object
	   is false. */
	std::size_t target() const noexcept
	{
		return *this ? oomreclaim_cache_target(handle_) : SIZE_MAX;
	}

	/* A miss of so many bytes that a larger cache would have hit: oomreclaim_cache_regret().
	   False where there is no target for it, ever. */
	bool regret(std::size_t bytes) const noexcept
	{
		return *this && oomreclaim_cache_regret(handle_, bytes) == 0;
	}

private:
	template <class Scan> static auto with_control(Scan scan)
	{
		if constexpr (std::is_invocable_v<Scan &, const oomreclaim_control &>)
			return scan;
		else
			return [scan = std::move(scan)](const oomreclaim_control &control) mutable {
				return static_cast<std::size_t>(scan(control.bytes_wanted));
			};
	}

	static std::size_t call_count(const oomreclaim_control *, void *arg)
	{
		const auto kept = hold(arg);

		return call_or(OOMRECLAIM_STOP, [&] { return kept->count(); });
	}

	static std::size_t call_scan(const oomreclaim_control *control, void *arg)
	{
		const auto kept = hold(arg);

		return call_or(OOMRECLAIM_STOP, [&] { return kept->scan(*control); });
	}
};

/*
 * A T, or a T[], that the library may take away while nobody has it locked; see
 * oomreclaim_purgeable_alloc(). No destructor is called then, so T has to need none.
 *
 *     oomreclaim::purgeable_ptr<char[]> pixels;
 *     ...
 *     auto held = pixels.lock();
 *     if (!held) {
 *             held = pixels.make(bytes);
 *             decode(held.get());
 *     }
 *
 * lock() may be called from any thread; make(), a move and the end of the object take it that
 * nobody has it locked. Where the library is absent nothing is taken.
 */
template <class T> class purgeable_ptr
{
public:
	using element_type = std::remove_extent_t<T>;

	static_assert(std::is_trivially_destructible_v<element_type>,
	              "what is taken away is not destroyed");
	static_assert(alignof(element_type) <= alignof(std::max_align_t));
	static_assert(!std::is_array_v<T> || std::extent_v<T> == 0, "T[], with make(count)");

	/* It stays as long as one of these does. */
	class [[nodiscard]] pin
	{
	public:
		pin() noexcept = default;

		pin(pin &&other) noexcept
		    : element_(std::exchange(other.element_, nullptr)),
		      purgeable_(std::exchange(other.purgeable_, nullptr))
		{
		}

		pin &operator=(pin &&other) noexcept
		{
			if (this != &other) {
				reset();
				element_ = std::exchange(other.element_, nullptr);
				purgeable_ = std::exchange(other.purgeable_, nullptr);
			}
			return *this;
		}

		pin(const pin &) = delete;
		pin &operator=(const pin &) = delete;

		~pin()
		{
			reset();
		}

		void reset() noexcept
		{
			if (purgeable_ != nullptr)
				oomreclaim_purgeable_unpin(std::exchange(purgeable_, nullptr));
			element_ = nullptr;
		}

		explicit operator bool() const noexcept
		{
			return element_ != nullptr;
		}

		element_type *get() const noexcept
		{
			return element_;
		}

		element_type &operator*() const noexcept
		{
			return *element_;
		}

		element_type *operator->() const noexcept
		{
			return element_;
		}

		element_type &operator[](std::size_t at) const noexcept
		{
			return element_[at];
		}

	private:
		friend class purgeable_ptr;

		pin(void *block, struct oomreclaim_purgeable *purgeable) noexcept
		    : element_(static_cast<element_type *>(block)), purgeable_(purgeable)
		{
		}

		element_type *element_ = nullptr;
		struct oomreclaim_purgeable *purgeable_ = nullptr;
	};

	purgeable_ptr() noexcept = default;

	/* `cost` is what make() is given the elements for: see oomreclaim_purgeable_alloc(). */
	explicit purgeable_ptr(unsigned cost) noexcept : cost_(cost)
	{
	}

	purgeable_ptr(purgeable_ptr &&other) noexcept
	    : purgeable_(std::exchange(other.purgeable_, nullptr)),
	      plain_(std::exchange(other.plain_, nullptr)), cost_(other.cost_)
	{
	}

	purgeable_ptr &operator=(purgeable_ptr &&other) noexcept
	{
		if (this != &other) {
			reset();
			purgeable_ = std::exchange(other.purgeable_, nullptr);
			plain_ = std::exchange(other.plain_, nullptr);
			cost_ = other.cost_;
		}
		return *this;
	}

	purgeable_ptr(const purgeable_ptr &) = delete;
	purgeable_ptr &operator=(const purgeable_ptr &) = delete;

	~purgeable_ptr()
	{
		reset();
	}

	void reset() noexcept
	{
		if (purgeable_ != nullptr)
			oomreclaim_purgeable_free(std::exchange(purgeable_, nullptr));
		::operator delete(std::exchange(plain_, nullptr));
	}

	/* Empty if it was taken, or never made. */
	pin lock() const noexcept
	{
		if (purgeable_ != nullptr) {
			void *block = oomreclaim_purgeable_pin(purgeable_);

			return block != nullptr ? pin(block, purgeable_) : pin();
		}
		return pin(plain_, nullptr);
	}

	/* A new T from these arguments, in place of what there was. Throws std::bad_alloc,
	   std::system_error (EINVAL: the cost), and what T throws; then there is none. */
	template <class... Args, class Element = T,
	          std::enable_if_t<!std::is_array_v<Element>, int> = 0>
	pin make(Args &&...args)
	{
		return construct(sizeof(T), [&](element_type *at) {
			new (static_cast<void *>(at)) T(std::forward<Args>(args)...);
		});
	}

	/* So many new elements, as `new T[count]` makes them. Throws as above, and
	   std::bad_array_new_length. */
	template <class Element = T, std::enable_if_t<std::is_array_v<Element>, int> = 0>
	pin make(std::size_t count)
	{
		if (count > static_cast<std::size_t>(-1) / 2 / sizeof(element_type))
			throw std::bad_array_new_length();
		return construct(count * sizeof(element_type), [&](element_type *at) {
			std::uninitialized_default_construct_n(at, count);
		});
	}

private:
	template <class Fill> pin construct(std::size_t bytes, Fill fill)
	{
		pin made = allocate(bytes);

		try {
			fill(made.get());
		} catch (...) {
			made.reset();
			reset();
			throw;
		}
		return made;
	}

	pin allocate(std::size_t bytes)
	{
		reset();
		if (!oomreclaim_available()) {
			plain_ = ::operator new(bytes);
			return pin(plain_, nullptr);
		}
		if (cost_ == 0 || cost_ > OOMRECLAIM_COST_MAX)
			throw std::system_error(EINVAL, std::generic_category(),
			                        "oomreclaim_purgeable_alloc");
		purgeable_ = oomreclaim_purgeable_alloc(bytes, cost_);
		if (purgeable_ == nullptr)
			throw std::bad_alloc();
		return pin(oomreclaim_purgeable_block(purgeable_), purgeable_);
	}

	struct oomreclaim_purgeable *purgeable_ = nullptr;
	void *plain_ = nullptr; /* in its place, where the library is absent */
	unsigned cost_ = OOMRECLAIM_COST_DEFAULT;
};

/* `flags`, of enum oomreclaim_scope, until the end of the block. On the thread that made it. */
class [[nodiscard]] scope
{
public:
	explicit scope(unsigned flags) noexcept
	    : old_(oomreclaim_available() ? oomreclaim_scope_save(flags) : 0)
	{
	}

	scope(const scope &) = delete;
	scope &operator=(const scope &) = delete;

	~scope()
	{
		if (oomreclaim_available())
			oomreclaim_scope_restore(old_);
	}

private:
	unsigned old_;
};

/*
 * A group for as long as the object lives: its destructor destroys it, and its blocks go to the
 * parent. One that threads are inside of, or that has children, outlives the object. The destructor
 * waits for a call of on_cancel()'s function on another thread, as that of a registration. It does
 * not wait inside of a callback that this call waits for: see reset().
 */
class group
{
public:
	group() noexcept = default;

	/* Throws std::system_error with oomreclaim_group_create()'s error. */
	explicit group(const std::string &name, oomreclaim_group parent = OOMRECLAIM_GROUP_ROOT)
	{
		if (oomreclaim_available())
			check(oomreclaim_group_create(name.c_str(), parent, &handle_),
			      "oomreclaim_group_create");
	}

	/* Below the group of `parent`. Throws as above, and EINVAL where the library is there and
	   `parent` is false: below the root no limit of a parent would hold. */
	explicit group(const std::string &name, const group &parent)
	{
		if (oomreclaim_available())
			check(parent ? oomreclaim_group_create(name.c_str(), parent.get(), &handle_)
			             : EINVAL,
			      "oomreclaim_group_create");
	}

	group(group &&other) noexcept
	    : function_(std::move(other.function_)),
	      handle_(std::exchange(other.handle_, OOMRECLAIM_GROUP_ROOT))
	{
	}

	group &operator=(group &&other) noexcept
	{
		if (this != &other) {
			reset();
			function_ = std::move(other.function_);
			handle_ = std::exchange(other.handle_, OOMRECLAIM_GROUP_ROOT);
		}
		return *this;
	}

	group(const group &) = delete;
	group &operator=(const group &) = delete;

	~group()
	{
		reset();
	}

	/* Returns the error of oomreclaim_group_destroy(), or 0 where the object is false. EBUSY:
	   the group outlives the object. EDEADLK, in either case: a call of its function goes on,
	   under the conditions of registration's reset(). What the function has captured by
	   reference has to last until the call returns. */
	int reset() noexcept
	{
		const auto ended = std::exchange(handle_, OOMRECLAIM_GROUP_ROOT);
		int error = 0;

		if (ended != OOMRECLAIM_GROUP_ROOT)
			error = oomreclaim_group_destroy(ended, 0);
		/* One that outlives the object can't be told any more. */
		if (error == EBUSY &&
		    oomreclaim_group_on_cancel(ended, nullptr, nullptr) == EDEADLK)
			error = EDEADLK;
		function_.reset();
		return error;
	}

	/* False where the library is absent, or after a move or reset(). */
	explicit operator bool() const noexcept
	{
		return handle_ != OOMRECLAIM_GROUP_ROOT;
	}

	/* For the functions of oomreclaim_group.h; the root where the object is false. */
	oomreclaim_group get() const noexcept
	{
		return handle_;
	}

	/* Throws std::system_error with oomreclaim_group_set()'s error. */
	void set(oomreclaim_group_attribute attribute, std::int64_t value)
	{
		if (*this)
			check(oomreclaim_group_set(handle_, attribute, value),
			      "oomreclaim_group_set");
	}

	/* Threads that are made inside begin inside: OOMRECLAIM_GROUP_INHERIT. */
	void set_inherit(bool inherits = true)
	{
		set(OOMRECLAIM_GROUP_INHERIT, inherits);
	}

	/* Called as void() where the group is cancelled; an empty one: it never is. What it throws
	   is lost. Under the rules of oomreclaim_group_on_cancel(), with whose error this throws
	   std::system_error; that waits for a call of the former function on another thread. */
	void on_cancel(std::function<void()> function)
	{
		std::shared_ptr<held> given;

		if (!*this)
			return;
		if (function)
			given = std::make_shared<held>(std::move(function));
		const int error =
			oomreclaim_group_on_cancel(handle_, given ? call : nullptr, given.get());
		function_.swap(given);
		check(error, "oomreclaim_group_on_cancel");
	}

	struct oomreclaim_group_stats stats() const
	{
		struct oomreclaim_group_stats stats {
		};

		if (*this)
			oomreclaim_group_stats(handle_, &stats, sizeof stats);
		return stats;
	}

private:
	/* Stays where it is when the object moves, and until its call has returned. */
	struct held : std::enable_shared_from_this<held> {
		explicit held(std::function<void()> given) : function(std::move(given))
		{
		}

		std::function<void()> function;
	};

	static void call(oomreclaim_group, void *arg)
	{
		const auto kept = static_cast<held *>(arg)->shared_from_this();

		try {
			kept->function();
#ifdef __GLIBCXX__
		} catch (const abi::__forced_unwind &) {
			throw;
#endif
		} catch (...) {
			/* No frame above could catch it. */
			return;
		}
	}

	static void check(int error, const char *what)
	{
		if (error != 0)
			throw std::system_error(error, std::generic_category(), what);
	}

	std::shared_ptr<held> function_;
	oomreclaim_group handle_ = OOMRECLAIM_GROUP_ROOT;
};

/* Inside a group until the end of the block. On the thread that made it. */
class [[nodiscard]] group_scope
{
public:
	explicit group_scope(oomreclaim_group inside) noexcept
	    : former_(oomreclaim_available() ? oomreclaim_group_enter(inside)
	                                     : OOMRECLAIM_GROUP_ROOT)
	{
	}

	/* A false object has no group: the thread stays where it is, and under the limits there. To
	   leave all groups, OOMRECLAIM_GROUP_ROOT is given. */
	explicit group_scope(const group &inside) noexcept
	    : former_(inside ? oomreclaim_group_enter(inside.get()) : current())
	{
	}

	group_scope(const group_scope &) = delete;
	group_scope &operator=(const group_scope &) = delete;

	~group_scope()
	{
		if (oomreclaim_available())
			oomreclaim_group_enter(former_);
	}

private:
	static oomreclaim_group current() noexcept
	{
		return oomreclaim_available() ? oomreclaim_group_current() : OOMRECLAIM_GROUP_ROOT;
	}

	oomreclaim_group former_;
};

/* The killer off until the end of the block. */
class [[nodiscard]] kill_disabled
{
public:
	explicit kill_disabled(unsigned timeout_ms) noexcept
	    : is_held_(oomreclaim_available() && oomreclaim_kill_disable(timeout_ms))
	{
	}

	kill_disabled(const kill_disabled &) = delete;
	kill_disabled &operator=(const kill_disabled &) = delete;

	~kill_disabled()
	{
		if (is_held_)
			oomreclaim_kill_enable();
	}

	explicit operator bool() const noexcept
	{
		return is_held_;
	}

private:
	bool is_held_;
};

/* Allocates in a scope: a cache's memory with NORETRY, for example, so that no other cache is asked
   to give for it. */
class scoped_resource : public std::pmr::memory_resource
{
public:
	explicit scoped_resource(unsigned flags, std::pmr::memory_resource *upstream =
	                                                 std::pmr::new_delete_resource()) noexcept
	    : flags_(flags), upstream_(upstream)
	{
	}

private:
	void *do_allocate(std::size_t bytes, std::size_t alignment) override
	{
		scope guard(flags_);

		return upstream_->allocate(bytes, alignment);
	}

	void do_deallocate(void *block, std::size_t bytes, std::size_t alignment) override
	{
		upstream_->deallocate(block, bytes, alignment);
	}

	bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
	{
#ifdef __cpp_rtti
		const auto *same = dynamic_cast<const scoped_resource *>(&other);

		return same != nullptr && same->flags_ == flags_ && *same->upstream_ == *upstream_;
#else
		return this == &other;
#endif
	}

	unsigned flags_;
	std::pmr::memory_resource *upstream_;
};

} // namespace oomreclaim

#endif
