//! POSIX access control lists in ext4's own form: version 1, where entries without an id are 4 bytes shorter.
//!
//! Format: `struct ext4_acl_header` and `ext4_acl_entry` of the kernel's `fs/ext4/acl.h`.

use crate::meta::Acl;

const VERSION: u32 = 1;

/// The value on disk.
pub(crate) fn to_disk(acl: &Acl) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for entry in acl.entries() {
        bytes.extend_from_slice(&(entry.tag as u16).to_le_bytes());
        bytes.extend_from_slice(&entry.perm.to_le_bytes());
        if entry.tag.is_named() {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::meta::{AclEntry, AclTag};

    #[test]
    fn named_entries_keep_their_id_and_the_others_lose_the_field() {
        let entry = |tag, perm, id| AclEntry { tag, id, perm };
        let entries = vec![
            entry(AclTag::UserObj, 6, AclEntry::UNDEFINED_ID),
            entry(AclTag::User, 4, 1000),
            entry(AclTag::GroupObj, 5, AclEntry::UNDEFINED_ID),
            entry(AclTag::Mask, 4, AclEntry::UNDEFINED_ID),
            entry(AclTag::Other, 0, AclEntry::UNDEFINED_ID),
        ];
        let disk =
            [&[1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0][..], &[4, 0, 5, 0, 0x10, 0, 4, 0, 0x20, 0, 0, 0]];
        assert_eq!(to_disk(&Acl::new(entries).unwrap().unwrap()), disk.concat());
    }
}
