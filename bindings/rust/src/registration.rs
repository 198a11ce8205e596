// SPDX-License-Identifier: BSD-2-Clause

use crate::{held, sys, CallbackStats, Control, Error};
use held::{Ask, Held};
use std::ffi::CString;
use std::fmt;
use std::mem;
use std::os::raw::c_uint;
use std::ptr::NonNull;

/// Of which threads a callback is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Both = 0,
    Direct = 1,
    Background = 2,
}

/// A reclaim callback that is to be registered.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// let cache = Arc::new(Mutex::new(vec![vec![0u8; 4096]; 16]));
/// let shared = Arc::clone(&cache);
/// let registration = oomreclaim::Callback::new("blocks").register(move |control| {
///     // Its own thread may hold the lock.
///     let mut cache = match shared.try_lock() {
///         Ok(cache) => cache,
///         Err(_) => return 0,
///     };
///     let mut freed = 0;
///     while freed < control.bytes_wanted() {
///         match cache.pop() {
///             Some(block) => freed += block.len(),
///             None => break,
///         }
///     }
///     freed
/// })?;
/// # Ok::<(), oomreclaim::Error>(())
/// ```
///
/// The closure returns the bytes that it believes it gave back, 0 when there is nothing left to give. It runs on a
/// thread whose allocation has failed, or on oomreclaimd, on one thread at a time, with none of the allocator's locks
/// held. It may allocate, free, register and unregister. It must not wait for a lock that any thread may hold while it
/// allocates: `try_lock()`, or hold that lock only in [`Scope`](crate::Scope) `NORECLAIM`. Where it panics, it has given
/// nothing. What it has in common with other code goes through `Mutex` or atomics, as between threads: an allocation is a
/// place where it may run.
#[must_use = "it is registered by register()"]
#[derive(Clone, Debug)]
pub struct Callback<'a> {
    name: &'a str,
    priority: i32,
    by: By,
}

impl<'a> Callback<'a> {
    /// The name stands in reports and statistics: 1 to 31 bytes.
    pub fn new(name: &'a str) -> Self {
        Self { name, priority: 0, by: By::Both }
    }

    /// The highest is called first; 0 if nothing is said.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Only by threads that need the memory.
    pub fn direct_only(mut self) -> Self {
        self.by = By::Direct;
        self
    }

    /// Only by oomreclaimd, which holds no locks of the program.
    pub fn background_only(mut self) -> Self {
        self.by = By::Background;
        self
    }

    /// Registers it until the result is dropped. Without the library it is kept, and never called.
    pub fn register<F>(self, closure: F) -> Result<Registration, Error>
    where
        F: FnMut(&Control) -> usize + Send + 'static,
    {
        let name = name_for_c(self.name)?;
        let mut closure = closure;
        let held = Held::new(move |_, control| closure(control));
        let mut handle = 0;

        match sys::register() {
            Some(register) => held.into_registered(|arg| unsafe {
                let error =
                    register(name.as_ptr(), self.priority, self.by as c_uint, held::call_scan, arg, &mut handle);
                Error::check(error).map(|()| handle)
            }),
            None => Ok(held.into_unregistered()),
        }
    }
}

/// A shrinker that is to be registered: a callback that says what it has, so that several of a priority lose in
/// proportion to that, over their cost.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// let cache = Arc::new(Mutex::new(vec![vec![0u8; 4096]; 16]));
/// let (to_count, to_scan) = (Arc::clone(&cache), cache);
/// let registration = oomreclaim::Shrinker::new("blocks").cost(10).register(
///     move |_| to_count.try_lock().ok().map(|cache| cache.len() * 4096),
///     move |control| {
///         let mut cache = to_scan.try_lock().ok()?;
///         let keep = cache.len().saturating_sub(control.bytes_wanted() / 4096 + 1);
///         let freed = (cache.len() - keep) * 4096;
///         cache.truncate(keep);
///         Some(freed)
///     },
/// )?;
/// # Ok::<(), oomreclaim::Error>(())
/// ```
///
/// `count` returns the bytes that `scan` could free now; it is called up to five times in a round. `scan` frees about
/// `bytes_wanted()`, and returns how much that was. `None` from either is "not now": others are asked in its place. Both
/// are under the rules of [`Callback`], and never in two threads at once.
#[must_use = "it is registered by register()"]
#[derive(Clone, Debug)]
pub struct Shrinker<'a> {
    callback: Callback<'a>,
    cost: u32,
    batch: usize,
}

impl<'a> Shrinker<'a> {
    /// The cost of one that knows no better.
    pub const COST_DEFAULT: u32 = 2;

    /// As of [`Callback::new`].
    pub fn new(name: &'a str) -> Self {
        Self { callback: Callback::new(name), cost: Self::COST_DEFAULT, batch: 0 }
    }

    /// As of [`Callback::priority`]. Within a priority the callbacks come first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.callback = self.callback.priority(priority);
        self
    }

    /// As of [`Callback::direct_only`].
    pub fn direct_only(mut self) -> Self {
        self.callback = self.callback.direct_only();
        self
    }

    /// As of [`Callback::background_only`].
    pub fn background_only(mut self) -> Self {
        self.callback = self.callback.background_only();
        self
    }

    /// What it takes to get a byte back, 1 to 1000, against the others'.
    pub fn cost(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    /// The bytes that it is asked for at once, at least 4096; 0 for what is due, in one call.
    pub fn batch(mut self, bytes: usize) -> Self {
        self.batch = bytes;
        self
    }

    /// Registers it until the result is dropped. Without the library it is kept, and never called.
    pub fn register<C, S>(self, mut count: C, mut scan: S) -> Result<Registration, Error>
    where
        C: FnMut(&Control) -> Option<usize> + Send + 'static,
        S: FnMut(&Control) -> Option<usize> + Send + 'static,
    {
        let name = name_for_c(self.callback.name)?;
        let held = Held::new(move |ask, control| {
            let answer = match ask {
                Ask::Count => count(control),
                Ask::Scan => scan(control),
            };
            answer.unwrap_or(sys::STOP)
        });
        let mut handle = 0;

        match sys::shrinker_register() {
            Some(register) => held.into_registered(|arg| unsafe {
                let shrinker = sys::Shrinker {
                    name: name.as_ptr(),
                    priority: self.callback.priority,
                    flags: self.callback.by as c_uint,
                    count: held::call_count,
                    scan: held::call_scan,
                    arg,
                    cost: self.cost,
                    batch: self.batch,
                };
                let error = register(&shrinker, mem::size_of_val(&shrinker), &mut handle);
                Error::check(error).map(|()| handle)
            }),
            None => Ok(held.into_unregistered()),
        }
    }
}

/// The library says what else is wrong with it.
fn name_for_c(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::new(sys::EINVAL))
}

/// A callback or a shrinker for as long as this lives. To drop it waits for a call on another thread: hold no lock there
/// that the closure waits for. In the closure itself it may be dropped too. In a closure that this call waits for, as
/// where two drop each other's registrations, the call goes on, and what its closure has captured is never dropped.
#[must_use = "what it registers is unregistered when it is dropped"]
pub struct Registration {
    handle: u64,
    held: NonNull<Held>,
}

// The closures are Send, and nothing of this is behind a shared reference but the handle.
unsafe impl Send for Registration {}
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn new(handle: u64, held: NonNull<Held>) -> Self {
        Self { handle, held }
    }

    /// False where the library is not in the process.
    pub fn is_registered(&self) -> bool {
        self.handle != 0
    }

    /// The counters of this registration; all 0 where the library is not in the process.
    pub fn stats(&self) -> CallbackStats {
        let mut stats = CallbackStats::default();

        if let (true, Some(read)) = (self.is_registered(), sys::callback_stats()) {
            unsafe { read(self.handle, &mut stats, mem::size_of_val(&stats)) };
        }
        stats
    }

    /// Registered for as long as the process lives.
    pub fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let error = match (self.is_registered(), sys::unregister()) {
            (true, Some(unregister)) => unsafe { unregister(self.handle) },
            _ => 0,
        };

        // With an error it may be running still, on another thread: it is left alone.
        if error == 0 {
            unsafe { Held::release(self.held) };
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Registration").field("handle", &self.handle).finish()
    }
}
