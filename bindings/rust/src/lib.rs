// SPDX-License-Identifier: BSD-2-Clause
#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod alloc;
mod control;
mod error;
mod held;
mod registration;
mod scope;
mod stats;
mod sys;

pub use alloc::Oomreclaim;
pub use control::{Control, Reason};
pub use error::Error;
pub use registration::{Callback, Registration, Shrinker};
pub use scope::{may_fail, Flags, Scope};
pub use stats::{stats, CallbackStats, Outcome, Stats};

use std::ffi::CStr;
use std::os::raw::c_int;

/// True where the program runs on the library. Where it does not, registrations are kept and never called, scopes and
/// limits do nothing.
pub fn available() -> bool {
    sys::version().is_some()
}

/// The library's version.
pub fn version() -> Option<&'static str> {
    let version = sys::version()?;

    // A static string, never NULL.
    unsafe { CStr::from_ptr(version()) }.to_str().ok()
}

/// Reclaims by hand until callbacks have claimed so many bytes; returns how many they have. 0 from a callback.
pub fn reclaim(bytes: usize) -> usize {
    sys::reclaim().map_or(0, |reclaim| unsafe { reclaim(bytes) })
}

/// Limits what the heap may have resident, in place of the setting `limit`. Where it is above that already, callbacks
/// are called; what is left above it is the result.
pub fn set_limit(bytes: Option<usize>) -> usize {
    sys::set_limit().map_or(0, |set| unsafe { set(bytes.unwrap_or(usize::MAX)) })
}

/// The limit in force; `None` where there is none, or no library.
pub fn limit() -> Option<usize> {
    sys::get_limit().map(|get| unsafe { get() }).filter(|&bytes| bytes != usize::MAX)
}

/// What happens when the callbacks have nothing left to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The allocation is an error.
    Return = 0,
    /// A report, and abort().
    Abort = 1,
    /// A report, and the end of this process, or of another: the setting `kill_target`.
    Kill = 2,
}

/// Sets the policy of the process, in place of the setting `policy`.
pub fn set_policy(policy: Policy) {
    if let Some(set) = sys::set_policy() {
        unsafe { set(policy as c_int) };
    }
}

/// The policy in force; `Return` without the library.
pub fn policy() -> Policy {
    match sys::get_policy().map_or(0, |get| unsafe { get() }) {
        1 => Policy::Abort,
        2 => Policy::Kill,
        _ => Policy::Return,
    }
}
