//! Rule T4: however a tree is cut into layers, the result is the same bytes.
//!
//! A random tree changes at random, several times; each change becomes a layer that makes the one tree of the other,
//! in one of the many ways there are: by whiteouts and opaque markers (needed or not), by links to what lower layers
//! hold, by whole new inodes, by entries that a later one overrides, in an order that is free where the rules leave it
//! free. The layers flattened must be the bytes of the last tree flattened alone, and a reader that is not ours must
//! find the tree in them: every name in canonical order (T1), the first one of an inode with its attributes and size
//! (F5, F10), the others as links to it (T2).

mod cut;
mod parts;
mod tree;

use std::path::Path;

use fastrand::Rng;
use oci2ext4::flatten::{Options, flatten};

use crate::support::script::Item;
use crate::support::stack::{self, Manifest};
use crate::support::{Compression, assert_text, in_parallel, listing, members, scratch};
use cut::Cut;
use tree::Tree;

/// How many trees; each is cut into one to six layers.
const TREES: u64 = 1000;

#[test]
fn bytes_do_not_depend_on_layers() {
    in_parallel(0..TREES, |seed| check(seed, scratch().path()));
}

/// A random tree, and the layers that make it.
fn random_layers(rng: &mut Rng) -> (Tree, Vec<Vec<Item>>) {
    let mut tree = Tree::new();
    let mut layers = Vec::new();
    for _ in 0..rng.usize(1..=6) {
        let below = tree.clone();
        let changes = rng.usize(1..30);
        (0..changes).for_each(|_| tree.change(rng));
        layers.push(Cut { below: &below, tree: &mut tree }.layer(rng));
    }
    (tree, layers)
}

/// The layers of a random tree, compressed in one way or another, in `dir`; the layer manifest over them.
pub fn random_stack(seed: u64, dir: &Path) -> Manifest {
    let mut rng = Rng::with_seed(seed);
    let (_, layers) = random_layers(&mut rng);
    stored(&layers, &mut rng, dir)
}

fn check(seed: u64, dir: &Path) {
    let mut rng = Rng::with_seed(seed);
    let (mut tree, layers) = random_layers(&mut rng);
    let alone = run(&[tree.items(&mut rng)], &mut rng, dir);
    let cut = run(&layers, &mut rng, dir);
    if alone != cut {
        show(&layers);
        let text = |tar: &[u8]| String::from_utf8_lossy(&headers(tar).join(&b'\n')).into_owned();
        assert_text(&format!("seed {seed}"), &text(&alone), &text(&cut));
        panic!("seed {seed}: same members, other bytes");
    }
    assert_text(&format!("seed {seed}, member by member"), &tree.members(), &members(&cut));
    let path = dir.join("result");
    std::fs::write(&path, &cut).expect("result");
    let options = Options { layers: vec![path.clone().into()], ..Options::default() };
    let again = flatten(None::<&[u8]>, &options).and_then(|tree| {
        let mut again = Vec::new();
        tree.write_to(&mut again).map(|_| again)
    });
    assert!(again.unwrap_or_else(|error| panic!("seed {seed}: {error}")) == cut, "seed {seed}: not idempotent");
    // The tree itself with its content, by somebody else's hand, once in a while.
    if seed % 50 == 0 {
        let root = dir.join("root");
        std::fs::create_dir(&root).expect("mkdir");
        let tar = crate::support::Filter::tool("tar").arg("-xpf").arg(&path).arg("-C").arg(&root);
        tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-timestamp"]).run().succeeds();
        assert_text(&format!("seed {seed}, extracted"), &tree.listing(), &listing(&root));
        std::fs::remove_dir_all(&root).expect("remove");
    }
}

/// The layers of a tree that came out wrong, on the terminal.
fn show(layers: &[Vec<Item>]) {
    for (number, layer) in layers.iter().enumerate() {
        eprintln!("== layer {number}");
        layer.iter().for_each(|item| eprintln!("{}", item.line()));
    }
}

/// Header names and types, to show.
fn headers(tar: &[u8]) -> Vec<Vec<u8>> {
    let blocks = tar.chunks(512).filter(|block| block.get(257..262) == Some(b"ustar"));
    blocks.map(|block| [&block[..100], &block[156..258]].concat().into_iter().filter(|b| *b != 0).collect()).collect()
}

fn stored(layers: &[Vec<Item>], rng: &mut Rng, dir: &Path) -> Manifest {
    let mut manifest = Manifest::default();
    for (number, layer) in layers.iter().enumerate() {
        let tar = stack::tar(layer);
        let how = *rng.choice(&[Compression::Plain, Compression::Gzip, Compression::Zstd]).expect("one");
        manifest.blob(dir.join(format!("{number}")), &stack::compress(&tar, how), &tar, serde_json::json!({}));
    }
    manifest
}

fn run(layers: &[Vec<Item>], rng: &mut Rng, dir: &Path) -> Vec<u8> {
    let text = std::io::Cursor::new(stored(layers, rng, dir).text());
    let options = Options { jobs: rng.usize(1..4), tmpdir: Some(dir.into()), ..Options::default() };
    let mut out = Vec::new();
    let result = flatten(Some(text), &options).and_then(|tree| tree.write_to(&mut out));
    if let Err(error) = result {
        show(layers);
        panic!("{error}");
    }
    out
}
