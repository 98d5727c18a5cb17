//! Extended attributes: in the inode, then in one block (E8).
//!
//! Format: "Extended Attributes" in the kernel's ext4 documentation. Entries are sorted by name index, name length
//! and name, as the kernel keeps them. Attribute inodes (`ea_inode`) are not used: old readers refuse them.

use crate::ext4::format::acl;
use crate::ext4::format::xattr_block::{BlockImage, XattrBlocks};
use crate::ext4::layout::directory::FileType;
use crate::meta::{Acl, AclError, Xattrs};

/// Bytes for attributes in an inode of 256 bytes whose `i_extra_isize` is 32.
pub const INODE_SPACE: usize = 96;
/// The magic number before the attributes in an inode, and in a block's header.
pub(crate) const MAGIC: [u8; 4] = 0xea02_0000_u32.to_le_bytes();
/// What ends a list of entries.
const END: usize = 4;
/// Bytes for entries and values in an inode.
const INODE_ROOM: usize = INODE_SPACE - MAGIC.len() - END;
/// `ext4_xattr_entry` without its name.
const ENTRY: usize = 16;

/// Why an attribute cannot be stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum XattrError {
    /// ext4 has no place for this name on such a file. Extraction leaves these out too.
    #[error("attribute {}: {reason}", name.escape_ascii())]
    Unsupported {
        /// The attribute.
        name: Box<[u8]>,
        /// Why not.
        reason: &'static str,
    },
    /// More than an inode and a block hold.
    #[error(
        "attribute {} of {size} bytes does not fit: the file's attributes take {needed} bytes with their names, the \
         inode has room for {INODE_ROOM} and one block for {}",
        name.escape_ascii(), BlockImage::ROOM
    )]
    DoesNotFit {
        /// The largest attribute of the file.
        name: Box<[u8]>,
        /// Bytes of its value.
        size: usize,
        /// Bytes that all of the file's attributes take, in the inode and out of it.
        needed: usize,
    },
    /// An access control list that means nothing.
    #[error("attribute {}: {error}", name.escape_ascii())]
    Acl {
        /// The attribute.
        name: Box<[u8]>,
        /// What is wrong with it.
        #[source]
        error: AclError,
    },
}

/// An attribute as it stands on disk: the prefix is a number, an ACL is in ext4's form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DiskXattr {
    pub(crate) index: u8,
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
}

impl DiskXattr {
    fn size(&self) -> usize {
        self.entry_size() + padded(self.value.len())
    }

    fn entry_size(&self) -> usize {
        padded(ENTRY + self.name.len())
    }

    /// The entry; `offset` is where the value stands, `hash` is 0 in an inode.
    pub(crate) fn put_entry(&self, out: &mut Vec<u8>, offset: usize, hash: u32) {
        let start = out.len();
        out.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX)); // names are at most 255 bytes
        out.push(self.index);
        let offset = if self.value.is_empty() { 0 } else { u16::try_from(offset).unwrap_or(u16::MAX) };
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&[0; 4]); // e_value_inum
        out.extend_from_slice(&u32::try_from(self.value.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&hash.to_le_bytes());
        out.extend_from_slice(&self.name);
        out.resize(start + self.entry_size(), 0);
    }
}

/// What an inode has to say about its attributes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InodeXattrs {
    /// The mode's low 12 bits, with the permissions of the access ACL if there is one.
    pub mode: u16,
    /// What stands at byte 160 of the inode, at most [`INODE_SPACE`] bytes; zeros follow. Empty without attributes.
    pub inode: Box<[u8]>,
    /// Which of the [`XattrBlocks`] `i_file_acl` points at. It counts for `i_blocks` too.
    pub block: Option<u32>,
}

/// Whether ext4 can hold an attribute of this name on such a file.
///
/// The kernel takes `user.`, `trusted.`, `security.` and the two POSIX ACLs; it refuses `user.` where there is no
/// file or directory, ACLs on symlinks, and default ACLs but on directories.
///
/// # Errors
/// [`XattrError::Unsupported`] with the reason.
pub fn check_name(name: &[u8], file_type: FileType) -> Result<(), XattrError> {
    split_name(name, file_type).map(drop).map_err(|reason| XattrError::Unsupported { name: name.into(), reason })
}

/// Lays out one inode's attributes. Attributes that the inode has no room for go to one of `blocks`.
///
/// # Errors
/// What ext4 has no name or no room for, and malformed ACLs.
pub fn encode(
    mode: u16,
    file_type: FileType,
    xattrs: &Xattrs,
    blocks: &mut XattrBlocks,
) -> Result<InodeXattrs, XattrError> {
    let (mode, list) = to_disk(mode, file_type, xattrs)?;
    if list.is_empty() {
        return Ok(InodeXattrs { mode, ..InodeXattrs::default() });
    }
    let (inside, outside) = split(list).map_err(|list| does_not_fit(&list))?;
    let block = if outside.is_empty() { None } else { Some(blocks.add(BlockImage::new(&outside))) };
    Ok(InodeXattrs { mode, inode: inode_image(&inside), block })
}

/// Tells whether [`encode`] will take these attributes, without keeping anything.
///
/// # Errors
/// Those of [`encode`].
pub fn check(mode: u16, file_type: FileType, xattrs: &Xattrs) -> Result<(), XattrError> {
    let (_, list) = to_disk(mode, file_type, xattrs)?;
    split(list).map(drop).map_err(|list| does_not_fit(&list))
}

/// Prefixes by name index; an ACL is its prefix.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

fn split_name(name: &[u8], file_type: FileType) -> Result<(u8, &[u8]), &'static str> {
    if name.len() > 255 {
        return Err("name longer than 255 bytes");
    }
    if name.contains(&0) {
        return Err("name holds NUL");
    }
    let found = PREFIXES.iter().find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)));
    let directory = file_type == FileType::Directory;
    match found {
        None | Some((2 | 3, [_, ..])) => Err("ext4 has no such namespace"),
        Some((1 | 4 | 6, b"")) => Err("nothing after the prefix"),
        Some((1, _)) if !directory && file_type != FileType::File => {
            Err("only files and directories have user attributes")
        }
        Some((2 | 3, _)) if file_type == FileType::Symlink => Err("a symbolic link has no ACL"),
        Some((3, _)) if !directory => Err("only directories have a default ACL"),
        Some(found) => Ok(found),
    }
}

/// The mode as an access ACL rules it, and the attributes in disk form and order.
fn to_disk(mode: u16, file_type: FileType, xattrs: &Xattrs) -> Result<(u16, Vec<DiskXattr>), XattrError> {
    let mut mode = mode;
    let mut list = Vec::with_capacity(xattrs.as_slice().len());
    for xattr in xattrs.as_slice() {
        let unsupported = |reason| XattrError::Unsupported { name: xattr.name.clone(), reason };
        let (index, name) = split_name(&xattr.name, file_type).map_err(unsupported)?;
        let mut value = xattr.value.clone();
        if matches!(index, 2 | 3) {
            let acl = Acl::parse(&value).map_err(|error| XattrError::Acl { name: xattr.name.clone(), error })?;
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

/// Parts attributes between inode and block: as many as fit the inode in order, else as much as fits it at all.
/// Gives the list back when it is too much.
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

/// The choice of attributes that fills `room` best. Sizes are multiples of 4 and `room` is below 100.
fn fullest(list: &[DiskXattr], room: usize) -> Vec<bool> {
    // best[n]: which attributes make exactly n words, if any do.
    let mut best: Vec<Option<Vec<usize>>> = vec![None; room / 4 + 1];
    best[0] = Some(Vec::new());
    for (at, xattr) in list.iter().enumerate() {
        let words = xattr.size() / 4;
        for n in (words..best.len()).rev() {
            if best[n].is_none()
                && let Some(without) = &best[n - words]
            {
                let mut with = without.clone();
                with.push(at);
                best[n] = Some(with);
            }
        }
    }
    let chosen = best.into_iter().rev().flatten().next().unwrap_or_default();
    (0..list.len()).map(|at| chosen.contains(&at)).collect()
}

/// Magic, entries, and the values from the end of the inode backwards; offsets count from the first entry.
fn inode_image(list: &[DiskXattr]) -> Box<[u8]> {
    if list.is_empty() {
        return Box::default();
    }
    let mut image = MAGIC.to_vec();
    let mut values = INODE_SPACE;
    for xattr in list {
        values -= padded(xattr.value.len());
        xattr.put_entry(&mut image, values - MAGIC.len(), 0);
    }
    image.resize(INODE_SPACE, 0);
    let mut values = INODE_SPACE;
    for xattr in list {
        values -= padded(xattr.value.len());
        image[values..values + xattr.value.len()].copy_from_slice(&xattr.value);
    }
    image.into()
}

/// Names the attribute that takes most room.
fn does_not_fit(list: &[DiskXattr]) -> XattrError {
    let largest = list.iter().max_by_key(|xattr| xattr.size());
    let (name, size) = largest.map_or_else(Default::default, |xattr| (full_name(xattr), xattr.value.len()));
    XattrError::DoesNotFit { name, size, needed: list.iter().map(DiskXattr::size).sum() }
}

fn full_name(xattr: &DiskXattr) -> Box<[u8]> {
    let (_, prefix) = PREFIXES.iter().find(|(index, _)| *index == xattr.index).unwrap_or(&(0, b""));
    [prefix, &xattr.name[..]].concat().into()
}

/// Rounds up to 4 bytes.
pub(crate) fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests;
