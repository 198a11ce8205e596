/* SPDX-License-Identifier: BSD-2-Clause */
/* One operator new or delete of a program's own, the one that FORM says; forms.cpp hears of its
   calls. */
#include <cstdlib>
#include <new>

extern "C" void form_called(int form);

#define NOTHROW const std::nothrow_t &
#define SIZE std::size_t
#define ALIGN std::align_val_t

[[maybe_unused]] static void *make(std::size_t size)
{
	form_called(FORM);
	return std::malloc(size);
}

[[maybe_unused]] static void unmake(void *memory)
{
	form_called(FORM);
	std::free(memory);
}

/* clang-format off */
#if FORM == 0
void *operator new(SIZE size) { return make(size); }
#elif FORM == 1
void *operator new[](SIZE size) { return make(size); }
#elif FORM == 2
void *operator new(SIZE size, NOTHROW) noexcept { return make(size); }
#elif FORM == 3
void *operator new[](SIZE size, NOTHROW) noexcept { return make(size); }
#elif FORM == 4
void *operator new(SIZE size, ALIGN) { return make(size); }
#elif FORM == 5
void *operator new[](SIZE size, ALIGN) { return make(size); }
#elif FORM == 6
void *operator new(SIZE size, ALIGN, NOTHROW) noexcept { return make(size); }
#elif FORM == 7
void *operator new[](SIZE size, ALIGN, NOTHROW) noexcept { return make(size); }
#elif FORM == 8
void operator delete(void *memory) noexcept { unmake(memory); }
#elif FORM == 9
void operator delete[](void *memory) noexcept { unmake(memory); }
#elif FORM == 10
void operator delete(void *memory, NOTHROW) noexcept { unmake(memory); }
#elif FORM == 11
void operator delete[](void *memory, NOTHROW) noexcept { unmake(memory); }
#elif FORM == 12
void operator delete(void *memory, SIZE) noexcept { unmake(memory); }
#elif FORM == 13
void operator delete[](void *memory, SIZE) noexcept { unmake(memory); }
#elif FORM == 14
void operator delete(void *memory, ALIGN) noexcept { unmake(memory); }
#elif FORM == 15
void operator delete[](void *memory, ALIGN) noexcept { unmake(memory); }
#elif FORM == 16
void operator delete(void *memory, ALIGN, NOTHROW) noexcept { unmake(memory); }
#elif FORM == 17
void operator delete[](void *memory, ALIGN, NOTHROW) noexcept { unmake(memory); }
#elif FORM == 18
void operator delete(void *memory, SIZE, ALIGN) noexcept { unmake(memory); }
#elif FORM == 19
void operator delete[](void *memory, SIZE, ALIGN) noexcept { unmake(memory); }
#endif
