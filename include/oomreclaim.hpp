/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaim for C++17: a registration that ends with its object, a scope that ends with its block,
 * and a memory resource for std::pmr. Header-only, around oomreclaim.h; with OOMRECLAIM_OPTIONAL
 * everything here does nothing where the library is absent. It needs exceptions; without RTTI a
 * memory resource equals itself only.
 */
#ifndef OOMRECLAIM_HPP
#define OOMRECLAIM_HPP

#include <cstddef>
#include <functional>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <oomreclaim.h>

namespace oomreclaim
{

/*
 * A callback for as long as the object lives. Its function is called as size_t(const
 * oomreclaim_control &) and follows the rules of oomreclaim_callback; what it throws all the same
 * counts as "nothing given back". The destructor waits for a call on another thread: hold no lock
 * there that the function waits for.
 */
class registration
{
public:
	using function = std::function<std::size_t(const oomreclaim_control &)>;

	registration() noexcept = default;

	/* Throws std::system_error with oomreclaim_register()'s error. */
	registration(const std::string &name, function callback,
	             int priority = OOMRECLAIM_PRIORITY_DEFAULT, unsigned flags = 0)
	    : callback_(std::make_unique<function>(std::move(callback)))
	{
		if (!oomreclaim_available())
			return;
		if (int error = oomreclaim_register(name.c_str(), priority, flags, call,
		                                    callback_.get(), &handle_))
			throw std::system_error(error, std::generic_category(),
			                        "oomreclaim_register");
	}

	registration(registration &&other) noexcept
	    : callback_(std::move(other.callback_)), handle_(std::exchange(other.handle_, 0))
	{
	}

	registration &operator=(registration &&other) noexcept
	{
		if (this != &other) {
			reset();
			callback_ = std::move(other.callback_);
			handle_ = std::exchange(other.handle_, 0);
		}
		return *this;
	}

	registration(const registration &) = delete;
	registration &operator=(const registration &) = delete;

	~registration()
	{
		reset();
	}

	void reset() noexcept
	{
		if (handle_ != 0)
			oomreclaim_unregister(std::exchange(handle_, 0));
		callback_.reset();
	}

	/* False where the library is absent, or after a move or reset(). */
	explicit operator bool() const noexcept
	{
		return handle_ != 0;
	}

	struct oomreclaim_callback_stats stats() const
	{
		struct oomreclaim_callback_stats stats {
		};

		if (handle_ != 0)
			oomreclaim_callback_stats(handle_, &stats, sizeof stats);
		return stats;
	}

private:
	static std::size_t call(const oomreclaim_control *control, void *arg)
	{
		try {
			return (*static_cast<function *>(arg))(*control);
		} catch (...) {
			return 0; /* no frame above could catch it */
		}
	}

	std::unique_ptr<function> callback_; /* where it stays when the object moves */
	oomreclaim_handle handle_ = 0;
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
