// SPDX-License-Identifier: BSD-2-Clause

use crate::sys;
use std::ffi::CStr;
use std::fmt;

/// Why a callback is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// An allocation failed.
    Alloc,
    /// [`reclaim`](crate::reclaim) or [`set_limit`](crate::set_limit) was called.
    Manual,
    /// An allocation failed, at the limit of the heap.
    Limit,
    /// The heap is above the setting `high`.
    Watermark,
    /// The system reported memory pressure.
    Pressure,
    /// What a later version of the library knows.
    Other,
}

/// What a callback is told: `struct oomreclaim_control`.
#[repr(transparent)]
pub struct Control(sys::Control);

impl Control {
    /// Bytes that are still to be freed, at least 1. More is welcome.
    pub fn bytes_wanted(&self) -> usize {
        self.0.bytes_wanted
    }

    /// Bytes of the request that failed; 0 for [`Reason::Manual`].
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Its alignment; 0 if that is the usual one.
    pub fn alignment(&self) -> usize {
        self.0.alignment
    }

    pub fn reason(&self) -> Reason {
        match self.0.reason {
            1 => Reason::Alloc,
            2 => Reason::Manual,
            3 => Reason::Limit,
            4 => Reason::Watermark,
            5 => Reason::Pressure,
            _ => Reason::Other,
        }
    }

    /// How many rounds were made for this request before.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Why the request failed: "BUDGET", "RLIMIT_AS" and so on; "NONE" for [`Reason::Manual`].
    pub fn constraint(&self) -> &str {
        if self.0.constraint.is_null() {
            return "";
        }
        unsafe { CStr::from_ptr(self.0.constraint) }.to_str().unwrap_or("")
    }

    /// Whether the thread that needs the memory has called, which may hold locks of the program: try_lock(). Else it is
    /// oomreclaimd, which holds none.
    pub fn is_direct(&self) -> bool {
        self.0.is_direct
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Control")
            .field("bytes_wanted", &self.bytes_wanted())
            .field("size", &self.size())
            .field("reason", &self.reason())
            .field("attempt", &self.attempt())
            .field("constraint", &self.constraint())
            .field("is_direct", &self.is_direct())
            .finish()
    }
}
