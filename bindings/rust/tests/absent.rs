// SPDX-License-Identifier: BSD-2-Clause
//! Without the library.

use oomreclaim::{Callback, Flags, Policy, Scope, Shrinker};
use std::sync::Arc;

#[test]
fn nothing_is_there_and_nothing_fails() {
    assert!(!oomreclaim::available());
    assert_eq!(oomreclaim::version(), None);
    assert_eq!(oomreclaim::limit(), None);
    assert_eq!(oomreclaim::set_limit(Some(1)), 0);
    assert_eq!(oomreclaim::reclaim(1 << 20), 0);
    assert!(oomreclaim::stats().is_none());
    oomreclaim::set_policy(Policy::Abort);
    assert_eq!(oomreclaim::policy(), Policy::Return);
    let _scope = Scope::enter(Flags::NORECLAIM | Flags::RESERVE);
    assert_eq!(oomreclaim::may_fail(|| 7), 7);
}

#[test]
fn a_registration_keeps_its_closure_and_lets_it_go() {
    let held = Arc::new(());
    let (first, second, third) = (held.clone(), held.clone(), held.clone());
    let callback = Callback::new("one").register(move |_| Arc::strong_count(&first)).unwrap();
    let shrinker = Shrinker::new("two")
        .register(move |_| Some(Arc::strong_count(&second)), move |_| Some(Arc::strong_count(&third)))
        .unwrap();

    assert!(!callback.is_registered());
    assert_eq!(callback.stats().calls, 0);
    assert_eq!(Arc::strong_count(&held), 4);
    drop(callback);
    drop(shrinker);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_name_with_a_nul_is_refused() {
    let error = Callback::new("a\0b").register(|_| 0).unwrap_err();

    assert_eq!(error.errno(), 22);
    assert_eq!(error.to_string(), std::io::Error::from_raw_os_error(22).to_string());
}
