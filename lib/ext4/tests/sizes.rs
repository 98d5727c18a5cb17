//! Images of every size.

use super::support::{Image, TestTree};
use crate::ext4::{Error, Options};

fn sized(bytes: u64) -> Options {
    Options { size: Some(bytes), ..Options::default() }
}

/// The size that an image with this tree needs at least.
fn least(tree: &TestTree) -> u64 {
    let error = Image::new().writer(&sized(0)).finish(tree, &super::support::IDENTITY).unwrap_err();
    let Error::NoSpace { needed, .. } = error else { panic!("{error}") };
    needed
}

#[test]
fn an_empty_tree_needs_less_than_a_mib() {
    let tree = TestTree::new();
    let least = least(&tree);
    assert!(least <= 1 << 20, "{least}");
    let report = Image::new().write(&sized(least), &tree);
    assert_eq!(report.bytes, least);
}

#[test]
fn an_empty_tree_without_size_has_16_mib_free() {
    let report = Image::new().write(&Options::default(), &TestTree::new());
    assert!(report.free_blocks >= 4096, "{report:?}");
    assert!(report.bytes <= 18 << 20, "{report:?}");
}
