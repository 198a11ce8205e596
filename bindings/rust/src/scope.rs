// SPDX-License-Identifier: BSD-2-Clause

use crate::sys;
use std::marker::PhantomData;
use std::ops::BitOr;
use std::os::raw::c_uint;

/// How hard the ladder may try for a thread's allocations. They are combined by `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(c_uint);

impl Flags {
    /// The allocator's own caches, and no callback: an error instead.
    pub const NORETRY: Flags = Flags(sys::SCOPE_NORETRY);
    /// Callbacks, but never the policies `abort` and `kill`.
    pub const RETRY_MAYFAIL: Flags = Flags(sys::SCOPE_RETRY_MAYFAIL);
    /// Never an error: waits for memory, and aborts if none can ever come.
    pub const NOFAIL: Flags = Flags(sys::SCOPE_NOFAIL);
    /// Callbacks are neither run by this thread nor waited for, so that a lock which one of them takes may be held.
    pub const NORECLAIM: Flags = Flags(sys::SCOPE_NORECLAIM);
    /// The reserve may be used before callbacks are asked.
    pub const RESERVE: Flags = Flags(sys::SCOPE_RESERVE);
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Flags for the calling thread, and what it calls, until this is dropped. Scopes end in the reverse order of their
/// beginning.
///
/// ```
/// use oomreclaim::{Flags, Scope};
///
/// let _scope = Scope::enter(Flags::NORECLAIM);
/// let words: Vec<u64> = (0..1000).collect(); // calls no callback
/// # assert_eq!(words.len(), 1000);
/// ```
#[must_use = "the scope ends when it is dropped"]
#[derive(Debug)]
pub struct Scope {
    before: c_uint,
    // It is this thread's: neither Send nor Sync.
    of_this_thread: PhantomData<*mut ()>,
}

impl Scope {
    /// Adds the flags to those that hold already.
    pub fn enter(flags: Flags) -> Self {
        let before = sys::scope_save().map_or(0, |save| unsafe { save(flags.0) });

        Self { before, of_this_thread: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(restore) = sys::scope_restore() {
            unsafe { restore(self.before) };
        }
    }
}

/// Allocations whose failure the caller handles: callbacks are called, and then it is an error, whatever the policy.
/// Under `policy:abort` a `Vec::try_reserve()` of up to 32 KiB (the setting `costly`) ends the process otherwise.
///
/// ```
/// let mut text = Vec::<u8>::new();
/// match oomreclaim::may_fail(|| text.try_reserve(1 << 20)) {
///     Ok(()) => text.resize(1 << 20, 0),
///     Err(error) => eprintln!("too much: {error}"),
/// }
/// ```
pub fn may_fail<T>(work: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(Flags::RETRY_MAYFAIL);

    work()
}
