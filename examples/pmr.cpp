// SPDX-License-Identifier: BSD-2-Clause
// A parser that remembers what it has parsed, in memory of its own (std::pmr), and forgets when
// somebody else needs the memory. `pmr [EXPRESSIONS]` evaluates random sums and products, and every
// fiftieth time holds on to a block, as a program with something better to do with its memory
// would.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.hpp>

class parser
{
public:
	parser() : registered("parsed expressions", [this](const auto &) { return forget(); })
	{
	}

	long value_of(const std::string &text)
	{
		std::lock_guard hold(lock);

		if (auto known = memory.find(std::pmr::string(text, &limited));
		    known != memory.end()) {
			hits++;
			return known->second;
		}
		const char *at = text.c_str();
		long value = sum(at);

		// To remember is nice to have: nobody else is asked to give for it, and where there
		// is no room it is not remembered.
		try {
			memory.emplace(std::pmr::string(text, &limited), value);
		} catch (const std::bad_alloc &) {
			clear();
		}
		return value;
	}

	std::size_t hits = 0, forgotten = 0;

private:
	static long product(const char *&at)
	{
		long value = std::strtol(at, const_cast<char **>(&at), 10);

		while (*at == '*')
			value = value * std::strtol(at + 1, const_cast<char **>(&at), 10) % 1000003;
		return value;
	}

	static long sum(const char *&at)
	{
		long value = product(at);

		while (*at == '+')
			value += product(++at);
		return value;
	}

	// A thread calls this when its allocation fails. That thread never has the lock: an
	// allocation under the lock is in the scope NORETRY, in which no callback is called.
	// Another thread may have the lock, so the lock is tried.
	std::size_t forget()
	{
		std::unique_lock hold(lock, std::try_to_lock);

		if (!hold)
			return 0;
		return clear() * 96; // an entry, about; the heap's own count is in the statistics
	}

	std::size_t clear()
	{
		std::size_t count = memory.size();

		memory.clear();
		forgotten += count;
		return count;
	}

	oomreclaim::scoped_resource limited{OOMRECLAIM_SCOPE_NORETRY};
	std::mutex lock;
	std::pmr::unordered_map<std::pmr::string, long> memory{&limited};
	oomreclaim::registration registered; // last: ends before what it uses
};

int main(int argc, char **argv)
{
	const long expressions = argc > 1 ? std::atol(argv[1]) : 300000;
	std::mt19937 random(1);
	parser parse;
	std::vector<std::unique_ptr<char[]>> work;
	long total = 0;

	try {
		for (long i = 0; i < expressions; i++) {
			unsigned n = static_cast<unsigned>(random()) % 1000000;

			total += parse.value_of(std::to_string(n % 997) + "*" +
			                        std::to_string(n % 1009) + "+" + std::to_string(n));
			if (i % 50 == 0)
				work.emplace_back(new char[1024]);
		}
	} catch (const std::bad_alloc &) {
		std::puts("out of memory");
		return 1;
	}
	std::printf("total %ld, %zu remembered, %zu forgotten\n", total, parse.hits,
	            parse.forgotten);
	return 0;
}
