//! One fuzzer for all targets: `FUZZ_TARGET` names which of the invariants is hunted. `tests/fuzz/run` builds and
//! starts it. Beside its own claim every invariant is held to what it may cost (cost.rs).
#![no_main]

mod cost;
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use std::sync::OnceLock;
    static CHECK: OnceLock<fn(&[u8])> = OnceLock::new();
    let check = CHECK.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = invariants::TARGETS.iter().find(|(name, _)| *name == wanted);
        target.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted:?} names no target")).1
    });
    cost::bounded(*check, bytes);
});
