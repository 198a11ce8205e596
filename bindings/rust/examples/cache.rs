// SPDX-License-Identifier: BSD-2-Clause
//! A cache of results without a size of its own: it takes what the heap's limit leaves, and gives back when memory is
//! wanted. Without the library it grows to the end.
//!
//!     cargo build --release --example cache
//!     oomreclaim run --limit 64M -- target/release/examples/cache

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

#[global_allocator]
static GLOBAL: oomreclaim::Oomreclaim = oomreclaim::Oomreclaim;

const RESULT_BYTES: usize = 100_000;

#[derive(Default)]
struct Cache {
    results: HashMap<u64, Vec<u8>>,
    by_age: VecDeque<u64>,
    dropped: u64,
}

impl Cache {
    fn drop_oldest(&mut self) -> usize {
        let oldest = self.by_age.pop_front().and_then(|key| self.results.remove(&key));

        self.dropped += u64::from(oldest.is_some());
        oldest.map_or(0, |result| result.capacity())
    }
}

/// Takes long, as if it were worth to be remembered.
fn compute(key: u64) -> Vec<u8> {
    vec![(key % 251) as u8; RESULT_BYTES]
}

fn get(cache: &Mutex<Cache>, key: u64) -> u8 {
    if let Some(result) = cache.lock().unwrap().results.get(&key) {
        return result[0];
    }
    // Without the lock: the cache itself may be asked to give for it.
    let result = compute(key);
    let first = result[0];
    let mut cache = cache.lock().unwrap();

    cache.results.insert(key, result);
    cache.by_age.push_back(key);
    first
}

fn main() -> Result<(), oomreclaim::Error> {
    let cache = Arc::new(Mutex::new(Cache::default()));
    let shared = Arc::clone(&cache);
    let registration = oomreclaim::Callback::new("results").register(move |control| {
        let mut cache = match shared.try_lock() {
            Ok(cache) => cache,
            Err(_) => return 0,
        };
        // A fiftieth at least: a round costs the same whatever it gives.
        let enough = control.bytes_wanted().max(cache.results.len() / 50 * RESULT_BYTES);
        let mut freed = 0;

        while freed < enough {
            match cache.drop_oldest() {
                0 => break,
                bytes => freed += bytes,
            }
        }
        freed
    })?;

    for key in 0..2000 {
        assert_eq!(get(&cache, key), (key % 251) as u8);
    }
    let large = oomreclaim::may_fail(|| Vec::<u8>::new().try_reserve_exact(20 << 20));
    let cache = cache.lock().unwrap();
    println!(
        "library: {}, {} in the cache, {} dropped, {} calls, 20 MiB: {}",
        oomreclaim::available(),
        cache.results.len(),
        cache.dropped,
        registration.stats().calls,
        if large.is_ok() { "there" } else { "refused" },
    );
    Ok(())
}
