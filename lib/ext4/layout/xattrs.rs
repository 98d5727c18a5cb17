//! Divides the extended attributes of an inode between the inode and its block (E8).
//!
//! Entries are sorted by name index, name length and name, as by the kernel. Attribute inodes (`ea_inode`) are not
//! used, since old readers refuse them.

use crate::ext4::format::acl;
use crate::ext4::format::xattr_block::{BlockImage, XattrBlocks};
use crate::ext4::format::xattr_entry::{DiskXattr, INODE_ROOM, inode_image};
use crate::ext4::format::xattr_name::{full_name, split_name};
use crate::meta::{Acl, AclError, NodeKind, Shown, Xattrs};

/// Why an attribute cannot be stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum XattrError {
    /// ext4 cannot store this name on such a file. Extraction would leave it out too.
    #[error("attribute {}: {reason}", Shown(name))]
    Unsupported {
        /// The attribute.
        name: Box<[u8]>,
        /// The reason.
        reason: &'static str,
    },
    /// The attributes do not fit into the inode and a block.
    #[error(
        "attribute {} of {size} bytes does not fit: the file's attributes take {needed} bytes with their names, the \
         inode has room for {INODE_ROOM} and one block for {}",
        Shown(name),
        BlockImage::ROOM
    )]
    DoesNotFit {
        /// The largest attribute of the file.
        name: Box<[u8]>,
        /// The size of its value in bytes.
        size: usize,
        /// The size of all attributes of the file in bytes.
        needed: usize,
    },
    /// An access control list is invalid.
    #[error("attribute {}: {error}", Shown(name))]
    Acl {
        /// The attribute.
        name: Box<[u8]>,
        /// What is wrong with it.
        #[source]
        error: AclError,
    },
}

/// The attributes of an inode, as far as the inode stores them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InodeXattrs {
    /// The mode's low 12 bits, with the permissions of the access ACL if there is one.
    pub(crate) mode: u16,
    /// The content from byte 160 of the inode on, at most [`INODE_SPACE`] bytes; the rest is zeros. Empty without
    /// attributes.
    pub(crate) inode: Box<[u8]>,
    /// The one of the [`XattrBlocks`] that `i_file_acl` points at. It also counts for `i_blocks`.
    pub(crate) block: Option<u32>,
}

/// Checks that ext4 can store an attribute of this name on such a file.
///
/// # Errors
/// [`XattrError::Unsupported`] with the reason.
pub fn check_name<C, T>(name: &[u8], kind: &NodeKind<C, T>) -> Result<(), XattrError> {
    split_name(name, kind).map(drop).map_err(|reason| XattrError::Unsupported { name: name.into(), reason })
}

/// Lays out the attributes of an inode. Those that do not fit into the inode go to one of `blocks`.
///
/// # Errors
/// When ext4 has no name or no space for an attribute, or an ACL is malformed.
pub(crate) fn encode<C, T>(
    mode: u16,
    kind: &NodeKind<C, T>,
    xattrs: &Xattrs,
    blocks: &mut XattrBlocks,
) -> Result<InodeXattrs, XattrError> {
    let (mode, list) = to_disk(mode, kind, xattrs)?;
    if list.is_empty() {
        return Ok(InodeXattrs { mode, ..InodeXattrs::default() });
    }
    let (inside, outside) = split(list).map_err(|list| does_not_fit(&list))?;
    let block = if outside.is_empty() { None } else { Some(blocks.add(&BlockImage::new(&outside))) };
    Ok(InodeXattrs { mode, inode: inode_image(&inside), block })
}

/// The attribute block of an inode, if [`encode`] gives it one.
///
/// # Errors
/// As [`encode`].
pub(crate) fn block_image<C, T>(
    mode: u16,
    kind: &NodeKind<C, T>,
    xattrs: &Xattrs,
) -> Result<Option<BlockImage>, XattrError> {
    let (_, list) = to_disk(mode, kind, xattrs)?;
    let (_, outside) = split(list).map_err(|list| does_not_fit(&list))?;
    Ok(if outside.is_empty() { None } else { Some(BlockImage::new(&outside)) })
}

/// The mode, with the permissions of an access ACL, and the attributes in on-disk form and order.
fn to_disk<C, T>(mode: u16, kind: &NodeKind<C, T>, xattrs: &Xattrs) -> Result<(u16, Vec<DiskXattr>), XattrError> {
    let mut mode = mode;
    let mut list = Vec::new();
    for xattr in xattrs.iter() {
        let unsupported = |reason| XattrError::Unsupported { name: xattr.name.into(), reason };
        let (index, name) = split_name(xattr.name, kind).map_err(unsupported)?;
        let mut value: Box<[u8]> = xattr.value.into();
        if matches!(index, 2 | 3) {
            let acl = Acl::parse(&value).map_err(|error| XattrError::Acl { name: xattr.name.into(), error })?;
            let Some(acl) = acl else { continue };
            if index == 2 {
                mode = (mode & !0o777) | acl.permissions();
                if acl.is_minimal() {
                    continue;
                }
            }
            value = acl::to_disk(&acl).into();
        }
        list.push(DiskXattr { index, name: name.into(), value });
    }
    list.sort_unstable_by(|a, b| (a.index, a.name.len(), &a.name).cmp(&(b.index, b.name.len(), &b.name)));
    Ok((mode, list))
}

/// Divides attributes between inode and block: first those that fit into the inode in order; if the rest is too much for a
/// block, the choice that fills the inode best. Returns the list if even that is too much.
fn split(list: Vec<DiskXattr>) -> Result<(Vec<DiskXattr>, Vec<DiskXattr>), Vec<DiskXattr>> {
    let room = INODE_ROOM;
    let mut used = 0;
    let mut inside: Vec<bool> = Vec::with_capacity(list.len());
    for xattr in &list {
        let fits = used + xattr.size() <= room;
        used += if fits { xattr.size() } else { 0 };
        inside.push(fits);
    }
    let outside: usize = list.iter().zip(&inside).filter(|(_, inside)| !**inside).map(|(xattr, _)| xattr.size()).sum();
    if outside > BlockImage::ROOM {
        inside = fullest(&list, room);
        let inside: usize =
            list.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(xattr, _)| xattr.size()).sum();
        if list.iter().map(DiskXattr::size).sum::<usize>() - inside > BlockImage::ROOM {
            return Err(list);
        }
    }
    let mut parts = (Vec::new(), Vec::new());
    for (xattr, inside) in list.into_iter().zip(inside) {
        if inside { parts.0.push(xattr) } else { parts.1.push(xattr) }
    }
    Ok(parts)
}

/// The choice of attributes that fills `room` best. Sizes are multiples of 4, and `room` is below 100.
fn fullest(list: &[DiskXattr], room: usize) -> Vec<bool> {
    // best[n]: attributes that take exactly n words, if there are any.
    let mut best: Vec<Option<Vec<usize>>> = vec![None; room / 4 + 1];
    best[0] = Some(Vec::new());
    for (at, xattr) in list.iter().enumerate() {
        let words = xattr.size() / 4;
        for n in (words..best.len()).rev() {
            if best[n].is_none() {
                best[n] = best[n - words].clone().map(|without| [without, vec![at]].concat());
            }
        }
    }
    let chosen = best.into_iter().rev().flatten().next().unwrap_or_default();
    (0..list.len()).map(|at| chosen.contains(&at)).collect()
}

/// The error, naming the largest attribute.
fn does_not_fit(list: &[DiskXattr]) -> XattrError {
    let largest = list.iter().max_by_key(|xattr| xattr.size());
    let (name, size) =
        largest.map_or_else(Default::default, |xattr| (full_name(xattr.index, &xattr.name), xattr.value.len()));
    XattrError::DoesNotFit { name, size, needed: list.iter().map(DiskXattr::size).sum() }
}

#[cfg(test)]
mod tests;
