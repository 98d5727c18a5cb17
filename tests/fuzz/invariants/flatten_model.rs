//! Layers merge into the tree that a naive reading of F1 to F11 gives, or both refuse them.

use std::collections::BTreeMap;

use oci2ext4::meta::{Entry, Named, NodeKind};
use oci2ext4::tree::{Error, MergeTree, SealedTree, Visit, WhiteoutFormat, Whiteouts};

use super::layers::{Member, What, parse};
use super::model::{self, Kind, Model};

/// Longer inputs find no more, and the model's time is quadratic.
const LONGEST: usize = 2000;

pub fn check(bytes: &[u8]) {
    let layers = parse(&bytes[..bytes.len().min(LONGEST)]);
    let expected = model::flatten(&layers);
    match (merge(&layers), &expected) {
        (Ok(tree), Ok(model)) => assert_eq!(of_tree(&tree), of_model(model)),
        (Err(_), Err(_)) => {}
        (Ok(tree), Err(why)) => panic!("{why:?} in the model, but merged: {}", of_tree(&tree)),
        (Err(why), Ok(model)) => panic!("{why}, but in the model: {}", of_model(model)),
    }
}

/// Applies layers as flattening does.
pub fn merge(layers: &[Vec<Member>]) -> Result<SealedTree<Vec<u8>>, Error> {
    let mut tree = MergeTree::new();
    for members in layers {
        let mut whiteouts = Whiteouts::new(WhiteoutFormat::Names);
        for (position, member) in (0..).zip(members) {
            whiteouts.collect(position, &member.name)?;
        }
        tree.look_up(&mut whiteouts);
        if whiteouts.lead_through_symlinks() {
            for member in members {
                whiteouts.see(&member.name, member.what == What::Directory);
            }
        }
        let mut layer = tree.layer(whiteouts)?;
        for member in members {
            let entry = match &member.what {
                What::Directory => Entry::Node(NodeKind::Directory),
                What::File(content) => Entry::Node(NodeKind::File(content.clone())),
                What::Symlink(target) => Entry::Node(NodeKind::Symlink(target.as_slice().into())),
                What::Fifo => Entry::Node(NodeKind::Fifo),
                What::Link(target) => Entry::HardLink(target.as_slice().into()),
            };
            layer.apply(Named { path: &member.name, entry, meta: member.meta(), xattrs: member.xattrs() })?;
        }
        layer.finish()?;
    }
    Ok(tree.seal())
}

/// A name a line, in canonical order.
fn of_tree(tree: &SealedTree<Vec<u8>>) -> String {
    let mut text = String::new();
    let mut walk = tree.walk();
    while let Some(Visit { path, inode, is_first }) = walk.step() {
        let view = tree.inode(inode);
        let mut first = Vec::new();
        tree.first_path(inode, &mut first);
        let what = match view.kind {
            _ if !is_first => format!("&{}", first.escape_ascii()),
            NodeKind::Directory => "/".into(),
            NodeKind::File(content) => format!("={}", content.escape_ascii()),
            NodeKind::Symlink(target) => format!(">{}", target.escape_ascii()),
            _ => String::new(),
        };
        assert_eq!(i64::from(view.meta.uid), view.meta.mtime.secs);
        assert_eq!(view.xattrs.is_empty(), view.meta.uid == 0 || view.meta.uid % 3 != 0);
        text += &format!("{}{what} line {}\n", path.escape_ascii(), view.meta.uid);
    }
    text
}

fn of_model(model: &Model) -> String {
    let mut first = BTreeMap::new();
    let mut paths: Vec<_> = model.names.iter().collect();
    paths.sort_by_key(|(path, _)| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>());
    let line = |(path, number): (&Vec<u8>, &usize)| {
        let inode = &model.inodes[*number];
        let what = match (&inode.kind, first.get(number)) {
            (_, Some(first)) => format!("&{first}"),
            (Kind::Directory, _) => "/".into(),
            (Kind::File(content), _) => format!("={}", content.escape_ascii()),
            (Kind::Symlink(target), _) => format!(">{}", target.escape_ascii()),
            (Kind::Fifo | Kind::Waiting(_), _) => String::new(),
        };
        first.entry(*number).or_insert_with(|| path.escape_ascii().to_string());
        format!("{}{what} line {}\n", path.escape_ascii(), inode.line)
    };
    paths.into_iter().map(line).collect()
}
