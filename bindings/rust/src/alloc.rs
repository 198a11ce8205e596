// SPDX-License-Identifier: BSD-2-Clause

use std::alloc::{GlobalAlloc, Layout};
use std::os::raw::c_void;
use std::ptr;

/// What malloc() aligns a block to that is at least as large.
const ALIGNED_ANYWAY: usize = 2 * std::mem::size_of::<usize>();

extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    #[cfg(not(feature = "link"))]
    fn free(old: *mut c_void);
    #[cfg(feature = "link")]
    fn sdallocx(old: *mut c_void, size: usize, flags: std::os::raw::c_int);
}

/// The library as the program's allocator.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: oomreclaim::Oomreclaim = oomreclaim::Oomreclaim;
/// # fn main() {}
/// ```
///
/// With the feature `link` it makes the library part of the program, whatever else of this crate is used, and frees by
/// `sdallocx()`, to which the block's size is told. Without it, it is malloc() by that name, as
/// [`std::alloc::System`] is: the library's where it is preloaded, else the C library's.
///
/// An allocation that fails goes down the ladder either way: callbacks are called, and what they give is tried. Where
/// nothing is left, `Vec::push()` and the like end the process by [`std::alloc::handle_alloc_error`], and
/// `Vec::try_reserve()` returns an error; see [`may_fail`](crate::may_fail).
#[derive(Clone, Copy, Debug, Default)]
pub struct Oomreclaim;

fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= ALIGNED_ANYWAY && layout.align() <= layout.size()
}

unsafe impl GlobalAlloc for Oomreclaim {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout) {
            malloc(layout.size()).cast()
        } else {
            aligned_alloc(layout.align(), layout.size()).cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout) {
            return calloc(1, layout.size()).cast();
        }
        let block = self.alloc(layout);
        if !block.is_null() {
            ptr::write_bytes(block, 0, layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        #[cfg(feature = "link")]
        {
            // MALLOCX_LG_ALIGN, where the alignment is not the usual one.
            let flags = if is_aligned_anyway(layout) { 0 } else { layout.align().trailing_zeros() };
            sdallocx(block.cast(), layout.size(), flags as std::os::raw::c_int);
        }
        #[cfg(not(feature = "link"))]
        {
            let _ = layout;
            free(block.cast());
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());

        // Where both are, it is the usual alignment in both sizes.
        if is_aligned_anyway(layout) && is_aligned_anyway(new_layout) {
            return realloc(block.cast(), new_size).cast();
        }
        let moved = self.alloc(new_layout);
        if !moved.is_null() {
            ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
            self.dealloc(block, layout);
        }
        moved
    }
}
