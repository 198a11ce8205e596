// SPDX-License-Identifier: BSD-2-Clause

use crate::sys;
use std::fmt;
use std::mem;

/// Counters of one registration: `struct oomreclaim_callback_stats`. The calls of a shrinker are those of its `scan`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallbackStats {
    pub calls: u64,
    /// The sum of what it returned.
    pub bytes_claimed: u64,
    /// What the heap saw of that, on the calling thread.
    pub bytes_measured: u64,
    pub longest_ns: u64,
    /// Calls of `count`.
    pub counts: u64,
    /// How often it said "not now".
    pub stops: u64,
    /// By `count`, the last time.
    pub bytes_counted: u64,
    /// Asked for and not given, and still due.
    pub bytes_deferred: u64,
}

/// How the last failure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// There was none.
    None,
    /// A later rung found memory.
    Served,
    /// It was an error.
    Null,
    /// The process is being aborted.
    Abort,
    /// It is being killed.
    Kill,
    /// Another process was chosen.
    KillOther,
    /// What a later version of the library knows.
    Other,
}

/// All counters, in bytes where a name says nothing else: `struct oomreclaim_stats`, whose names these are.
/// `u64::MAX` is "none" for a limit or a watermark.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Stats {
    struct_size: u64,
    pub heap_allocated: u64,
    pub heap_active: u64,
    pub heap_dirty: u64,
    pub heap_metadata: u64,
    pub heap_resident: u64,
    pub heap_mapped: u64,
    pub heap_retained: u64,
    pub limit: u64,
    pub charged: u64,
    pub charged_peak: u64,
    pub limit_times_met: u64,
    pub high: u64,
    pub low: u64,
    pub reserve: u64,
    pub failures: u64,
    pub served: u64,
    pub refused: u64,
    pub impossible: u64,
    pub own_reclaims: u64,
    pub flushes: u64,
    pub compactions: u64,
    pub borrows: u64,
    pub evictions: u64,
    pub full_evictions: u64,
    pub reserve_uses: u64,
    pub rounds: u64,
    pub timeouts: u64,
    pub policies: u64,
    pub kills: u64,
    pub waits: u64,
    pub direct_rounds: u64,
    pub direct_bytes_claimed: u64,
    pub direct_bytes_measured: u64,
    pub background_rounds: u64,
    pub background_bytes_claimed: u64,
    pub background_bytes_measured: u64,
    pub callbacks: u64,
    pub last_time_ns: u64,
    pub last_size: u64,
    last_outcome: u32,
    pub last_pid: i32,
    last_constraint: [u8; 24],
}

impl Stats {
    pub fn last_outcome(&self) -> Outcome {
        match self.last_outcome {
            0 => Outcome::None,
            1 => Outcome::Served,
            2 => Outcome::Null,
            3 => Outcome::Abort,
            4 => Outcome::Kill,
            5 => Outcome::KillOther,
            _ => Outcome::Other,
        }
    }

    /// "BUDGET", "RLIMIT_AS" and so on.
    pub fn last_constraint(&self) -> &str {
        let length = self.last_constraint.iter().position(|&byte| byte == 0).unwrap_or(0);

        std::str::from_utf8(&self.last_constraint[..length]).unwrap_or("")
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Stats")
            .field("heap_allocated", &self.heap_allocated)
            .field("limit", &self.limit)
            .field("charged", &self.charged)
            .field("failures", &self.failures)
            .field("served", &self.served)
            .field("refused", &self.refused)
            .field("last_outcome", &self.last_outcome())
            .field("last_constraint", &self.last_constraint())
            .finish_non_exhaustive()
    }
}

/// All counters; `None` where the library is not in the process.
pub fn stats() -> Option<Stats> {
    let mut stats = Stats::default();
    let read = sys::stats_get()?;

    (unsafe { read(&mut stats, mem::size_of_val(&stats)) } == 0).then_some(stats)
}
