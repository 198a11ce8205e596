// SPDX-License-Identifier: BSD-2-Clause
//! A closure where the library finds it, and the C functions that call it.

use crate::{sys, Control, Error, Registration};
use std::cell::UnsafeCell;
use std::mem;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a shrinker is asked; a callback is always asked to scan.
#[derive(Clone, Copy)]
pub enum Ask {
    Count,
    Scan,
}

type Closure = dyn FnMut(Ask, &Control) -> usize + Send;

pub struct Held {
    // Called on one thread at a time, and never within its own call: the library sees to that.
    closure: UnsafeCell<Box<Closure>>,
    // The thread of a call in flight, or 0. Only a comparison with the own number says anything, and that number
    // this thread alone writes.
    thread: AtomicUsize,
    // It was dropped in its own call, on the same thread: the end of that call frees it.
    is_released: AtomicBool,
}

/// A number of this thread's own. It has no destructor: it is there until the thread has gone.
fn own_number() -> usize {
    thread_local!(static MARK: u8 = const { 0 });

    MARK.with(|mark| mark as *const u8 as usize)
}

impl Held {
    pub fn new(closure: impl FnMut(Ask, &Control) -> usize + Send + 'static) -> Box<Self> {
        Box::new(Self {
            closure: UnsafeCell::new(Box::new(closure)),
            thread: AtomicUsize::new(0),
            is_released: AtomicBool::new(false),
        })
    }

    pub fn into_unregistered(self: Box<Self>) -> Registration {
        Registration::new(0, NonNull::from(Box::leak(self)))
    }

    /// `register` gets the argument, and returns the handle.
    pub fn into_registered(
        self: Box<Self>,
        register: impl FnOnce(*mut c_void) -> Result<u64, Error>,
    ) -> Result<Registration, Error> {
        let held = NonNull::from(Box::leak(self));

        match register(held.as_ptr().cast()) {
            Ok(handle) => Ok(Registration::new(handle, held)),
            Err(error) => {
                unsafe { Self::free(held) };
                Err(error)
            }
        }
    }

    unsafe fn free(held: NonNull<Self>) {
        drop(Box::from_raw(held.as_ptr()));
    }

    /// It is unregistered: no call of it is in flight on another thread, nor will be.
    pub unsafe fn release(held: NonNull<Self>) {
        let this = held.as_ref();

        if this.thread.load(Ordering::Relaxed) == own_number() {
            this.is_released.store(true, Ordering::Relaxed);
        } else {
            Self::free(held);
        }
    }
}

/// What unwinds must not come into C: a closure that panics has given nothing.
fn without_panic(call: impl FnOnce() -> usize) -> usize {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        // To drop it may panic again.
        mem::forget(payload);
        0
    })
}

unsafe fn call(ask: Ask, control: *const sys::Control, arg: *mut c_void) -> usize {
    let held = NonNull::new_unchecked(arg.cast::<Held>());
    let this = held.as_ref();

    this.thread.store(own_number(), Ordering::Relaxed);
    // A Control is a sys::Control by its representation.
    let answer = without_panic(|| (*this.closure.get())(ask, &*control.cast::<Control>()));
    this.thread.store(0, Ordering::Relaxed);
    if this.is_released.load(Ordering::Relaxed) {
        without_panic(|| {
            Held::free(held);
            0
        });
    }
    answer
}

pub unsafe extern "C" fn call_count(control: *const sys::Control, arg: *mut c_void) -> usize {
    call(Ask::Count, control, arg)
}

pub unsafe extern "C" fn call_scan(control: *const sys::Control, arg: *mut c_void) -> usize {
    call(Ask::Scan, control, arg)
}
