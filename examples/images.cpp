// SPDX-License-Identifier: BSD-2-Clause
// A viewer's two caches: decoded images, which the library may take by itself while they are not
// drawn, and the descriptions beside them, which a shrinker gives back. `images [DRAWN]` draws
// pictures at random, some far more often than others, and every hundredth time holds on to a
// block, as a program with something better to do would.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.hpp>

constexpr std::size_t pictures = 1000, pixels = 64 << 10, kept_bytes = 64 << 10;

class album
{
public:
	// Descriptions are looked up over the network: dear.
	album()
	    : images(pictures), texts(pictures),
	      shrinks(
		      "descriptions", [this] { return count(); },
		      [this](std::size_t wanted) { return drop(wanted); }, {100})
	{
	}

	unsigned draw(std::size_t number)
	{
		describe(number);
		// It can't be taken as long as `image` is there.
		auto image = images[number].lock();

		if (!image) {
			image = images[number].make(pixels);
			for (std::size_t i = 0; i < pixels; i++)
				image[i] = static_cast<unsigned char>(number + i);
			decoded++;
		}
		return image[number];
	}

	std::size_t decoded = 0, looked_up = 0;

private:
	static constexpr std::size_t text_bytes = 2000;

	void describe(std::size_t number)
	{
		if (!texts[number].empty())
			return;
		// Made with no lock held: an allocation may call drop(), and here.
		std::string text(text_bytes, 'd');
		std::list<std::size_t> entry{number};
		std::lock_guard hold(lock);

		texts[number] = std::move(text);
		order.splice(order.end(), entry);
		looked_up++;
	}

	std::size_t count()
	{
		std::unique_lock hold(lock, std::try_to_lock);

		return hold ? order.size() * text_bytes : OOMRECLAIM_STOP;
	}

	std::size_t drop(std::size_t wanted)
	{
		std::unique_lock hold(lock, std::try_to_lock);
		std::size_t freed = 0;

		if (!hold)
			return OOMRECLAIM_STOP;
		for (; freed < wanted && !order.empty(); freed += text_bytes) {
			std::string().swap(texts[order.front()]);
			order.pop_front();
		}
		return freed;
	}

	std::vector<oomreclaim::purgeable_ptr<unsigned char[]>> images;
	std::vector<std::string> texts;
	std::list<std::size_t> order; // of texts, the oldest first
	std::mutex lock;
	// The last member: it ends before what it gives back.
	oomreclaim::shrinker shrinks;
};

int main(int argc, char **argv)
{
	long count = argc > 1 ? std::atol(argv[1]) : 20000;
	std::vector<std::string> kept;
	std::minstd_rand random(1);
	album shown;
	unsigned long sum = 0;

	for (long i = 0; i < count; i++) {
		// The smaller of two: low numbers more often.
		sum += shown.draw(std::min(random() % pictures, random() % pictures));
		if (i % 100 == 99)
			kept.emplace_back(kept_bytes, 'k');
	}
	std::printf("%lu: %zu of %ld decoded, %zu looked up\n", sum, shown.decoded, count,
	            shown.looked_up);
}
