//! Tells the tests the names of the machines, for which cargo sets no variables but here.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["TARGET", "HOST"] {
        println!("cargo::rustc-env={name}={}", std::env::var(name).expect("cargo sets it"));
    }
}
