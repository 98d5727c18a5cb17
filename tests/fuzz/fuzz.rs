//! One fuzzer for all targets: `FUZZ_TARGET` names which of the invariants is hunted. `tests/fuzz/run` builds and
//! starts it.
#![no_main]

mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use std::sync::OnceLock;
    static CHECK: OnceLock<fn(&[u8])> = OnceLock::new();
    let check = CHECK.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = invariants::TARGETS.iter().find(|(name, _)| *name == wanted);
        target.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted:?} names no target")).1
    });
    check(bytes);
});
