//! What is in the tree is in the image.

use super::support::{Image, TestTree};
use crate::ext4::Options;
use crate::meta::{Device, NodeKind};

#[test]
fn a_small_tree_of_all_kinds_is_clean() {
    let image = Image::new();
    let mut writer = image.writer(&Options::default());
    let mut tree = TestTree::new();
    let etc = tree.dir(0, "etc");
    let data = writer.write_data(&mut &b"hello\n"[..], 6).unwrap();
    let file = tree.add(etc, "motd", NodeKind::File(data));
    tree.link(0, "motd", file);
    tree.add(etc, "fast", NodeKind::Symlink(b"motd"[..].into()));
    tree.add(etc, "slow", NodeKind::Symlink([b'x'; 300][..].into()));
    tree.add(0, "null", NodeKind::CharDevice(Device { major: 1, minor: 3 }));
    tree.add(0, "vda", NodeKind::BlockDevice(Device { major: 254, minor: 1000 }));
    tree.add(0, "pipe", NodeKind::Fifo);
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let data = writer.write_data(&mut &large[..], large.len() as u64).unwrap();
    tree.add(etc, "large", NodeKind::File(data));
    let report = writer.finish(&tree, &super::support::IDENTITY).unwrap();
    assert_eq!(report.bytes % (1 << 20), 0);
    image.fsck();
}
