//! The names of extended attributes: on disk, the prefix is a number, `e_name_index`.

use crate::meta::NodeKind;

/// Prefixes by name index; for ACLs, the prefix is the whole name.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// Splits a name into prefix number and rest, or says why ext4 cannot store it on such a file.
///
/// The kernel accepts `user.`, `trusted.`, `security.` and the two POSIX ACLs; it refuses `user.` on anything but files and
/// directories, ACLs on symlinks, and default ACLs on anything but directories.
pub(crate) fn split_name<'n, C, T>(name: &'n [u8], kind: &NodeKind<C, T>) -> Result<(u8, &'n [u8]), &'static str> {
    if name.len() > 255 {
        return Err("name longer than 255 bytes");
    }
    if name.contains(&0) {
        return Err("name holds NUL");
    }
    let found = PREFIXES.iter().find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)));
    match found {
        None | Some((2 | 3, [_, ..])) => Err("ext4 has no such namespace"),
        Some((1 | 4 | 6, b"")) => Err("nothing after the prefix"),
        Some((1, _)) if !matches!(kind, NodeKind::Directory | NodeKind::File(_)) => {
            Err("only files and directories have user attributes")
        }
        Some((2 | 3, _)) if matches!(kind, NodeKind::Symlink(_)) => Err("a symbolic link has no ACL"),
        Some((3, _)) if !matches!(kind, NodeKind::Directory) => Err("only directories have a default ACL"),
        Some(found) => Ok(found),
    }
}

/// The full name from its parts.
pub(crate) fn full_name(index: u8, name: &[u8]) -> Box<[u8]> {
    let (_, prefix) = PREFIXES.iter().find(|(other, _)| *other == index).unwrap_or(&(0, b""));
    [prefix, name].concat().into()
}
