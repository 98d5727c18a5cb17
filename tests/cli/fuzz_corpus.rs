//! Every committed input of the fuzz targets keeps its invariant.

#[path = "../fuzz/invariants/mod.rs"]
mod invariants;

use super::support::repository;

#[test]
fn every_input_of_the_corpora_keeps_its_invariant() {
    let corpora = repository().join("tests/fuzz/corpus");
    for (target, check) in invariants::TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpora.join(target)).unwrap_or_else(|e| panic!("{target} has no corpus: {e}")) {
            let path = entry.unwrap().path();
            eprintln!("{}", path.display()); // shown when the check panics
            check(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of {target} is empty");
    }
    for entry in std::fs::read_dir(corpora).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(invariants::TARGETS.iter().any(|(target, _)| name == *target), "{name:?} is no target");
    }
}
