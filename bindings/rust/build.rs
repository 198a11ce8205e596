// SPDX-License-Identifier: BSD-2-Clause
//! With the feature `link`: where the library is. By OOMRECLAIM_LIB_DIR, else by pkg-config, else where the
//! linker looks by itself.

use std::env;
use std::process::Command;

fn directory() -> Option<String> {
    if let Ok(directory) = env::var("OOMRECLAIM_LIB_DIR") {
        return Some(directory);
    }
    let output = Command::new("pkg-config").args(["--variable=libdir", "oomreclaim"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_string()).filter(|directory| output.status.success() && !directory.is_empty())
}

fn main() {
    println!("cargo:rerun-if-env-changed=OOMRECLAIM_LIB_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_LINK").is_none() {
        return;
    }
    if let Some(directory) = directory() {
        println!("cargo:rustc-link-search=native={directory}");
    }
    println!("cargo:rustc-link-lib=dylib=oomreclaim");
}
