// SPDX-License-Identifier: BSD-2-Clause

use std::fmt;
use std::io;
use std::os::raw::c_int;

/// What a registration was refused for: an errno value, as `oomreclaim_register()` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(c_int);

impl Error {
    pub(crate) fn check(number: c_int) -> Result<(), Error> {
        if number == 0 {
            Ok(())
        } else {
            Err(Error(number))
        }
    }

    pub(crate) const fn new(number: c_int) -> Self {
        Self(number)
    }

    /// The errno value.
    pub fn errno(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(to)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::from_raw_os_error(error.0)
    }
}
