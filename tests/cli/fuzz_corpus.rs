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

/// Layers at random, in few names that mean much: the merge and its model, which knows paths alone, agree.
#[test]
fn random_layers_merge_as_the_model_has_it() {
    let (_, check) = invariants::TARGETS.iter().find(|(target, _)| *target == "flatten-model").expect("a target");
    for seed in 0..40_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut text = String::new();
        for _ in 0..random.usize(2..4) {
            for _ in 0..random.usize(1..7) {
                text += &line(&mut random);
            }
            text += "-\n";
        }
        let shown = std::panic::catch_unwind(|| check(text.as_bytes()));
        assert!(shown.is_ok(), "seed {seed}:\n{text}");
    }
}

fn line(random: &mut fastrand::Rng) -> String {
    let mut path = |longest: usize| {
        let names = ["a", "b", "c", "d", "a", "b"];
        let count = random.usize(1..=longest);
        (0..count).map(|_| names[random.usize(..names.len())]).collect::<Vec<_>>().join("/")
    };
    let (name, other) = (path(3), path(2));
    match random.u32(0..14) {
        0..3 => format!("{name}/\n"),
        3..6 => format!("{name}={}\n", random.u32(..9)),
        6 => format!("{name}>{other}\n"),
        7 => format!("{name}>/{other}\n"),
        8 => format!("{name}>../{other}\n"),
        9..11 => format!("{name}&{other}\n"),
        11 => format!("{name}/!{}\n", &other[..1]),
        12 => format!("!{}\n", ["a", "b", "c", "d"][random.usize(..4)]),
        _ => format!("{name}/*\n"),
    }
}
