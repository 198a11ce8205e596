// SPDX-License-Identifier: BSD-2-Clause
//! oomreclaim.h as it is. Each function is `None` where the library is not in the process.

use std::os::raw::{c_char, c_int, c_uint, c_void};

pub const SCOPE_NORETRY: c_uint = 1;
pub const SCOPE_RETRY_MAYFAIL: c_uint = 2;
pub const SCOPE_NOFAIL: c_uint = 4;
pub const SCOPE_NORECLAIM: c_uint = 8;
pub const SCOPE_RESERVE: c_uint = 16;

pub const EINVAL: c_int = 22;

/// From a shrinker: not now.
pub const STOP: usize = usize::MAX;

#[repr(C)]
pub struct Control {
    pub struct_size: usize,
    pub bytes_wanted: usize,
    pub size: usize,
    pub alignment: usize,
    pub reason: c_int,
    pub attempt: c_uint,
    pub constraint: *const c_char,
    pub is_direct: bool,
}

pub type Function = unsafe extern "C" fn(*const Control, *mut c_void) -> usize;

#[repr(C)]
pub struct Shrinker {
    pub name: *const c_char,
    pub priority: c_int,
    pub flags: c_uint,
    pub count: Function,
    pub scan: Function,
    pub arg: *mut c_void,
    pub cost: c_uint,
    pub batch: usize,
}

#[cfg(feature = "link")]
macro_rules! functions {
    ($($name:ident: $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        mod linked {
            use super::*;

            extern "C" {
                $(pub fn $symbol($(_: $argument),*) $(-> $result)?;)*
            }
        }
        $(pub fn $name() -> Option<unsafe extern "C" fn($($argument),*) $(-> $result)?> {
            Some(linked::$symbol)
        })*
    };
}

/// Each address is asked for once: the answer does not change while the process runs.
#[cfg(not(feature = "link"))]
macro_rules! functions {
    ($($name:ident: $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        $(pub fn $name() -> Option<unsafe extern "C" fn($($argument),*) $(-> $result)?> {
            static FOUND: found::Address = found::Address::new();

            let address = FOUND.get(concat!(stringify!($symbol), "\0"))?;
            // It is this function's: oomreclaim.h has its type.
            Some(unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(address)
            })
        })*
    };
}

#[cfg(not(feature = "link"))]
mod found {
    use super::*;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    /// 0 is not asked for yet, 1 is absent.
    pub struct Address(AtomicPtr<c_void>);

    impl Address {
        pub const fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }

        /// `name` ends with a NUL.
        pub fn get(&self, name: &'static str) -> Option<*mut c_void> {
            let absent = 1 as *mut c_void;
            // Nothing but the address itself is read by way of it.
            let mut address = self.0.load(Ordering::Relaxed);

            if address.is_null() {
                // A null handle is RTLD_DEFAULT.
                address = unsafe { dlsym(ptr::null_mut(), name.as_ptr().cast()) };
                if address.is_null() {
                    address = absent;
                }
                self.0.store(address, Ordering::Relaxed);
            }
            Some(address).filter(|&address| address != absent)
        }
    }
}

functions! {
    version: oomreclaim_version() -> *const c_char;
    register: oomreclaim_register(*const c_char, c_int, c_uint, Function, *mut c_void, *mut u64) -> c_int;
    unregister: oomreclaim_unregister(u64) -> c_int;
    shrinker_register: oomreclaim_shrinker_register(*const Shrinker, usize, *mut u64) -> c_int;
    callback_stats: oomreclaim_callback_stats(u64, *mut crate::CallbackStats, usize) -> c_int;
    reclaim: oomreclaim_reclaim(usize) -> usize;
    scope_save: oomreclaim_scope_save(c_uint) -> c_uint;
    scope_restore: oomreclaim_scope_restore(c_uint);
    set_policy: oomreclaim_set_policy(c_int) -> c_int;
    get_policy: oomreclaim_get_policy() -> c_int;
    set_limit: oomreclaim_set_limit(usize) -> usize;
    get_limit: oomreclaim_get_limit() -> usize;
    stats_get: oomreclaim_stats_get(*mut crate::Stats, usize) -> c_int;
}
