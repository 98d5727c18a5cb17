#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::ext4::format::xattr_entry::INODE_SPACE;
use crate::ext4::number::BlockNumber;
use crate::meta::{Device, Xattr};

const FILE: NodeKind<(), ()> = NodeKind::File(());
const CHAR: NodeKind<(), ()> = NodeKind::CharDevice(Device { major: 1, minor: 3 });

fn xattrs(list: &[(&str, &[u8])]) -> Xattrs {
    Xattrs::new(list.iter().map(|(name, value)| Xattr { name: name.as_bytes(), value }).collect())
}

fn encode_file(list: &[(&str, &[u8])], blocks: &mut XattrBlocks) -> Result<InodeXattrs, XattrError> {
    encode(0o644, &FILE, &xattrs(list), blocks)
}

#[test]
fn a_capability_stays_in_the_inode() {
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut blocks = XattrBlocks::new();
    let got = encode_file(&[("security.capability", &value)], &mut blocks).unwrap();
    assert_eq!((got.block, blocks.count(), got.inode.len()), (None, 0, INODE_SPACE));
    // As the kernel writes it: magic; name length, index, offset 72 from the first entry, size 20, no hash.
    let entry = [0, 0, 2, 0xea, 10, 6, 72, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(got.inode[..20], entry);
    assert_eq!(&got.inode[20..30], b"capability");
    assert_eq!(got.inode[76..], value);
}

#[test]
fn inodes_share_a_block_until_it_has_1024() {
    let mut blocks = XattrBlocks::new();
    let long = [7; 100];
    for n in 0..2049 {
        assert_eq!(encode_file(&[("user.long", &long)], &mut blocks).unwrap().block, Some(n / 1024));
    }
    assert_eq!(blocks.count(), 3);
    let mut out = [0; 4096];
    let image = block_image(0o644, &FILE, &xattrs(&[("user.long", &long)])).unwrap().unwrap();
    blocks.write(1, &image, BlockNumber::new(9), None, &mut out);
    assert_eq!(out[4..8], 1024_u32.to_le_bytes());
    blocks.write(2, &image, BlockNumber::new(9), None, &mut out);
    assert_eq!(out[4..8], 1_u32.to_le_bytes());
}

#[test]
fn the_inode_takes_what_makes_the_rest_fit() {
    let mut blocks = XattrBlocks::new();
    // In order a (60 bytes) goes inside and leaves b (84) outside with the rest: 4 too many. b inside: it fits.
    let rest = vec![1; 4064 - 4 - 60 - 20];
    let list: [(&str, &[u8]); 3] = [("user.a", &[1; 40]), ("user.b", &[1; 64]), ("user.c", &rest)];
    let got = encode_file(&list, &mut blocks).unwrap();
    assert_eq!(got.inode[20], b'b');
    let more = vec![1; rest.len() + 1];
    let list: [(&str, &[u8]); 3] = [("user.a", &[1; 40]), ("user.b", &[1; 64]), ("user.c", &more)];
    let error = encode_file(&list, &mut blocks).unwrap_err();
    assert_eq!(error, XattrError::DoesNotFit { name: (*b"user.c").into(), size: more.len(), needed: 4148 });
}

#[test]
fn names_that_linux_refuses_are_refused() {
    for (name, kind, good) in [
        ("user.x", FILE, true),
        ("user.x", NodeKind::Directory, true),
        ("user.x", NodeKind::Symlink(()), false),
        ("user.x", CHAR, false),
        ("trusted.x", NodeKind::Symlink(()), true),
        ("security.selinux", NodeKind::Fifo, true),
        ("security.", FILE, false),
        ("system.data", FILE, false),
        ("com.apple.quarantine", FILE, false),
        ("system.posix_acl_access.x", FILE, false),
        ("system.posix_acl_access", NodeKind::Fifo, true),
        ("system.posix_acl_access", NodeKind::Symlink(()), false),
        ("system.posix_acl_default", NodeKind::Directory, true),
        ("system.posix_acl_default", FILE, false),
    ] {
        assert_eq!(check_name(name.as_bytes(), &kind).is_ok(), good, "{name} {kind:?}");
    }
}

#[test]
fn an_access_acl_rules_the_mode() {
    let acl = |group: u8| {
        [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, group, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255,
            255,
        ]
    };
    let mut blocks = XattrBlocks::new();
    let got = encode(0o4777, &FILE, &xattrs(&[("system.posix_acl_access", &acl(2))]), &mut blocks).unwrap();
    assert_eq!(got, InodeXattrs { mode: 0o4624, ..InodeXattrs::default() });
}

#[test]
fn names_are_shown_as_everywhere() {
    let error = check_name("größe\n".as_bytes(), &FILE).unwrap_err();
    assert_eq!(error.to_string(), "attribute größe\\n: ext4 has no such namespace");
}
