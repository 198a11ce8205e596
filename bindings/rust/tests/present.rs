// SPDX-License-Identifier: BSD-2-Clause
//! On the library, one test at a time: the limit is the process's. They are ignored where nobody has asked for them:
//! README.md says how.

use oomreclaim::{Callback, Control, Flags, Outcome, Policy, Reason, Registration, Scope, Shrinker};
use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, Layout};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[global_allocator]
static GLOBAL: oomreclaim::Oomreclaim = oomreclaim::Oomreclaim;

const MIB: usize = 1 << 20;

/// A limit of so many MiB above what is in use, until it is dropped.
struct Limit;

impl Limit {
    fn of(mib: usize) -> Limit {
        assert!(oomreclaim::available(), "run it on the library");
        oomreclaim::set_limit(None);
        oomreclaim::reclaim(1);
        let charged = oomreclaim::stats().unwrap().charged as usize;

        assert_eq!(oomreclaim::set_limit(Some(charged + mib * MIB)), 0);
        Limit
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        oomreclaim::set_limit(None);
    }
}

type Blocks = Arc<Mutex<Vec<Vec<u8>>>>;

fn blocks(mib: usize) -> Blocks {
    Arc::new(Mutex::new((0..mib).map(|_| vec![1; MIB]).collect()))
}

fn pop(blocks: &Blocks, control: &Control) -> Option<usize> {
    let mut blocks = blocks.try_lock().ok()?;
    let mut freed = 0;

    while freed < control.bytes_wanted() {
        match blocks.pop() {
            Some(block) => freed += block.len(),
            None => break,
        }
    }
    Some(freed)
}

fn giving(blocks: &Blocks) -> Registration {
    let shared = Arc::clone(blocks);

    Callback::new("blocks").register(move |control| pop(&shared, control).unwrap_or(0)).unwrap()
}

#[test]
#[ignore = "on the library"]
fn try_reserve_gets_what_a_callback_gives() {
    let _limit = Limit::of(64);
    let blocks = blocks(48);
    let registration = giving(&blocks);
    let mut large = Vec::<u8>::new();

    assert!(registration.is_registered());
    assert!(large.try_reserve_exact(40 * MIB).is_ok());
    assert!(blocks.lock().unwrap().len() < 48);
    let stats = registration.stats();
    assert!(stats.calls > 0 && stats.bytes_claimed >= MIB as u64, "{stats:?}");
    assert_eq!(oomreclaim::stats().unwrap().last_outcome(), Outcome::Served);
}

#[test]
#[ignore = "on the library"]
fn try_reserve_is_an_error_where_nothing_is_given() {
    let _limit = Limit::of(32);
    let mut large = Vec::<u8>::new();

    assert!(large.try_reserve_exact(40 * MIB).is_err());
    let stats = oomreclaim::stats().unwrap();
    assert_eq!(stats.last_outcome(), Outcome::Null);
    assert_eq!(stats.limit as usize, oomreclaim::limit().unwrap());
    assert!(large.try_reserve_exact(8 * MIB).is_ok());
}

#[test]
#[ignore = "on the library"]
fn may_fail_is_an_error_under_policy_abort() {
    let _limit = Limit::of(32);
    let blocks = blocks(8);
    let registration = giving(&blocks);
    let mut large = Vec::<u8>::new();

    oomreclaim::set_policy(Policy::Abort);
    assert_eq!(oomreclaim::policy(), Policy::Abort);
    // Small ones: a caller of large ones is taken to look at what it gets, whatever the policy.
    let mut kept = Vec::with_capacity(10_000);
    oomreclaim::may_fail(|| loop {
        let mut block = Vec::<u8>::new();
        if block.try_reserve_exact(16 << 10).is_err() {
            break;
        }
        kept.push(block);
    });
    oomreclaim::set_policy(Policy::Return);
    assert!(kept.len() > 1000 && kept.len() < kept.capacity(), "{}", kept.len());
    assert!(registration.stats().calls > 0);
    drop(kept);
    assert!(large.try_reserve_exact(4 * MIB).is_ok());
}

#[test]
#[ignore = "on the library"]
fn a_callback_is_told_why() {
    let _limit = Limit::of(32);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let _registration = Callback::new("told")
        .register(move |control| {
            let told = (control.reason(), control.size(), control.is_direct(), control.attempt());
            shared.lock().unwrap().push(told);
            assert!(control.bytes_wanted() > 0);
            assert!(format!("{control:?}").contains("bytes_wanted"));
            if control.reason() == Reason::Limit {
                assert_eq!(control.constraint(), "BUDGET");
            }
            0
        })
        .unwrap();
    let _kept: Vec<u8> = Vec::with_capacity(20 * MIB);
    let mut large = Vec::<u8>::new();

    assert!(large.try_reserve_exact(20 * MIB).is_err());
    assert_eq!(oomreclaim::reclaim(4096), 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], (Reason::Limit, 20 * MIB, true, 0));
    assert_eq!(seen.last().unwrap().0, Reason::Manual);
}

#[test]
#[ignore = "on the library"]
fn shrinkers_share_by_cost() {
    let _limit = Limit::of(400);
    let (cheap, dear) = (blocks(100), blocks(100));
    let shrinker = |name, blocks: &Blocks, cost| {
        let (count, scan) = (Arc::clone(blocks), Arc::clone(blocks));
        Shrinker::new(name)
            .cost(cost)
            .register(
                move |_| count.try_lock().ok().map(|blocks| blocks.len() * MIB),
                move |control| pop(&scan, control),
            )
            .unwrap()
    };
    let (of_cheap, of_dear) = (shrinker("cheap", &cheap, 2), shrinker("dear", &dear, 8));

    assert!(oomreclaim::reclaim(40 * MIB) >= 40 * MIB);
    let (gone_cheap, gone_dear) = (100 - cheap.lock().unwrap().len(), 100 - dear.lock().unwrap().len());
    assert!(gone_cheap > 2 * gone_dear && gone_dear > 0, "{gone_cheap} and {gone_dear}");
    assert!(of_cheap.stats().counts > 0 && of_dear.stats().counts > 0);
    // Held, it says "not now", and the other gives.
    let held = cheap.lock().unwrap();
    let before = dear.lock().unwrap().len();
    assert!(oomreclaim::reclaim(8 * MIB) >= 8 * MIB);
    assert!(before - dear.lock().unwrap().len() >= 8);
    assert!(of_cheap.stats().stops > 0);
    drop(held);
}

#[test]
#[ignore = "on the library"]
fn a_panic_gives_nothing_and_does_no_harm() {
    let _limit = Limit::of(32);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let _first = Callback::new("panics")
        .priority(1)
        .register(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("on purpose")
        })
        .unwrap();
    let blocks = blocks(16);
    let _second = giving(&blocks);
    let mut large = Vec::<u8>::new();

    // What is told of a panic takes memory too, and much of it with RUST_BACKTRACE.
    panic::set_hook(Box::new(|_| ()));
    let reserved = large.try_reserve_exact(24 * MIB);
    drop(panic::take_hook());
    assert!(reserved.is_ok());
    assert!(calls.load(Ordering::Relaxed) > 0);
    assert!(blocks.lock().unwrap().len() < 16);
}

#[test]
#[ignore = "on the library"]
fn a_registration_may_be_dropped_in_its_own_call() {
    let slot = Arc::new(Mutex::new(None::<Registration>));
    let held = Arc::new(());
    let (own, kept) = (Arc::clone(&slot), Arc::clone(&held));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let registration = Callback::new("once")
        .register(move |_| {
            let before = Arc::strong_count(&kept);
            drop(own.lock().unwrap().take());
            // What the closure has is there to the end of the call.
            assert_eq!(Arc::strong_count(&kept), before);
            counted.fetch_add(1, Ordering::Relaxed);
            4096
        })
        .unwrap();

    *slot.lock().unwrap() = Some(registration);
    assert_eq!(Arc::strong_count(&held), 2);
    assert_eq!(oomreclaim::reclaim(4096), 4096);
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(oomreclaim::reclaim(4096), 0);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
#[ignore = "on the library"]
fn dropped_elsewhere_it_waits_for_the_call() {
    for _ in 0..200 {
        let is_gone = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&is_gone);
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let registration = Callback::new("busy")
            .register(move |_| {
                let _kept = &kept;
                std::thread::yield_now();
                assert_eq!(seen.load(Ordering::SeqCst), 0);
                0
            })
            .unwrap();
        let other = std::thread::spawn(|| oomreclaim::reclaim(4096));

        drop(registration);
        is_gone.store(1, Ordering::SeqCst);
        assert_eq!(Arc::strong_count(&held), 1);
        other.join().unwrap();
    }
}

#[test]
#[ignore = "on the library"]
fn a_scope_keeps_callbacks_out_and_ends() {
    let _limit = Limit::of(32);
    let blocks = blocks(16);
    let registration = giving(&blocks);

    {
        let _scope = Scope::enter(Flags::NORECLAIM | Flags::NORETRY);
        assert!(Vec::<u8>::new().try_reserve_exact(24 * MIB).is_err());
        assert_eq!(registration.stats().calls, 0);
    }
    assert!(Vec::<u8>::new().try_reserve_exact(24 * MIB).is_ok());
    assert!(registration.stats().calls > 0);
}

#[test]
#[ignore = "on the library"]
fn what_the_library_refuses() {
    assert_eq!(Callback::new("").register(|_| 0).unwrap_err().errno(), 22);
    assert_eq!(Callback::new(&"n".repeat(32)).register(|_| 0).unwrap_err().errno(), 36);
    assert_eq!(Shrinker::new("cost").cost(0).register(|_| None, |_| None).unwrap_err().errno(), 22);
    let before = oomreclaim::stats().unwrap().callbacks;
    let both = (
        Callback::new("direct").direct_only().register(|_| 0).unwrap(),
        Shrinker::new("background").background_only().register(|_| None, |_| None).unwrap(),
    );
    assert_eq!(oomreclaim::stats().unwrap().callbacks, before + 2);
    drop(both);
    assert_eq!(oomreclaim::stats().unwrap().callbacks, before);
    assert_eq!(oomreclaim::version(), Some(env!("CARGO_PKG_VERSION")));
}

/// Every size and alignment, grown and shrunk, with its bytes.
#[test]
#[ignore = "on the library"]
fn blocks_are_aligned_and_keep_their_bytes() {
    for align in (0..=16).map(|shift| 1 << shift) {
        for size in [1, 7, 8, 16, 17, 100, 4096, 70_000] {
            let layout = Layout::from_size_align(size, align).unwrap();
            unsafe {
                let zeroed = alloc_zeroed(layout);
                assert_eq!(zeroed as usize % align, 0);
                assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
                let block = alloc(layout);
                block.write_bytes(0x5a, size);
                let larger = Layout::from_size_align(size * 3, align).unwrap();
                let grown = realloc(block, layout, larger.size());
                assert_eq!(grown as usize % align, 0);
                assert!(std::slice::from_raw_parts(grown, size).iter().all(|&byte| byte == 0x5a));
                let shrunk = realloc(grown, larger, size);
                assert_eq!(shrunk as usize % align, 0);
                assert!(std::slice::from_raw_parts(shrunk, size).iter().all(|&byte| byte == 0x5a));
                dealloc(shrunk, layout);
                dealloc(zeroed, layout);
            }
        }
    }
}
