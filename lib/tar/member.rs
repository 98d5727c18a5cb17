//! Makes a member from its header and its extended headers.

use std::io::BufRead;

use super::extensions::{Extensions, check_length};
use super::header::{Dialect, Header};
use super::pax::{self, Attributes};
use super::reader::padding;
use super::sparse::{SparseError, SparseMap, TextMap};
use super::xattr::ACL_ACCESS;
use super::{Error, Member, Part, Problem, Reader, Segment, Skipped, StoredFile, TrailingSlash, UNIT};
use crate::meta::{Device, Entry, Metadata, NodeKind, Timestamp};

impl<R: BufRead> Reader<R> {
    /// The member with this header; `None` if it is skipped.
    pub(super) fn member(
        &mut self,
        header: &Header,
        at: u64,
        header_name: Vec<u8>,
        extensions: Extensions,
    ) -> Result<Option<Member>, Error> {
        let (attributes, decoded) =
            extensions.attributes(self.globals.as_deref_mut(), &mut self.shared, &header_name, at)?;
        let Extensions { start, name: long_name, link: long_link, .. } = extensions;
        let Attributes { path, link_path, size, uid, gid, mtime, has_odd_mtime, .. } = attributes;
        let Attributes { major, minor, real_size, mut sparse, .. } = attributes;
        let path = sparse.name.take().or(path).or(long_name).unwrap_or(header_name);
        self.name.clone_from(&path);
        let fail = |problem| Error::new(Some(&path), at, problem);

        let size = size.map_or_else(|| header.size(), Ok).map_err(fail)?;
        let links_to = || link_path.or(long_link).unwrap_or_else(|| header.link_name().to_vec()).into_boxed_slice();
        let slash = path.last() == Some(&b'/');
        let is_directory = slash && (header.flag() == 0 || self.trailing_slash == TrailingSlash::Directory);
        let entry = match header.flag() {
            b'0' | 0 | b'7' if is_directory => Entry::Node(NodeKind::Directory), // without a body
            b'0' | 0 | b'7' | b'S' => Entry::Node(NodeKind::File(())),
            b'1' => {
                self.link_body = size.checked_next_multiple_of(UNIT).ok_or_else(|| fail(too_far()))?;
                Entry::HardLink(links_to())
            }
            b'2' => Entry::Node(NodeKind::Symlink(links_to())),
            b'3' => Entry::Node(NodeKind::CharDevice(device(header, major, minor).map_err(fail)?)),
            b'4' => Entry::Node(NodeKind::BlockDevice(device(header, major, minor).map_err(fail)?)),
            b'5' => Entry::Node(NodeKind::Directory),
            b'6' => Entry::Node(NodeKind::Fifo),
            b'D' if header.dialect == Dialect::Gnu => {
                self.skip_body(size, &path, at)?; // GNU tar's list of the directory's content
                Entry::Node(NodeKind::Directory)
            }
            b'M' => return Err(fail(Problem::Unsupported("continued from another volume"))),
            flag => {
                if flag != b'V' {
                    self.warn(at, &path, Skipped::Type(flag));
                }
                self.skip_body(size, &path, at)?;
                return Ok(None);
            }
        };
        match &entry {
            Entry::Node(NodeKind::Symlink(name)) | Entry::HardLink(name) => check_length(name).map_err(fail)?,
            _ => {}
        }
        check_length(&path).map_err(fail)?;

        let mode = header.mode().map_err(fail)?;
        let uid = uid.map_or_else(|| header.uid(), Ok).map_err(fail)?;
        let gid = gid.map_or_else(|| header.gid(), Ok).map_err(fail)?;
        let mtime = mtime.map_or_else(|| header.mtime().map(Timestamp::from_secs), Ok).map_err(fail)?;
        if has_odd_mtime {
            self.warn(at, &path, Skipped::Time);
        }
        if decoded.has_nfs4_acl {
            self.warn(at, &path, Skipped::Nfs4Acl);
        }
        let is_symlink = matches!(entry, Entry::Node(NodeKind::Symlink(_)));
        if is_symlink && decoded.permissions.is_some() && decoded.xattrs.get(ACL_ACCESS).is_none() {
            self.warn(at, &path, Skipped::SymlinkAcl);
        }
        let mode = if is_symlink { mode } else { decoded.mode(mode) };

        self.small_segments.member();
        let entry = entry.try_map(|()| {
            self.begin_data(size).map_err(fail)?;
            let (size, sparse) = match header.flag() {
                b'S' => self.old_map(header, real_size, at)?,
                _ => self.pax_map(&sparse, at)?,
            };
            Ok(StoredFile { size, sparse, data_offset: self.stream.offset, stored: self.left })
        })?;
        let meta = Metadata { mode, uid, gid, mtime };
        Ok(Some(Member { offset: start.unwrap_or(at), path, entry, meta, xattrs: decoded.xattrs }))
    }

    /// Skips a body that is not file content.
    fn skip_body(&mut self, size: u64, path: &[u8], at: u64) -> Result<(), Error> {
        self.begin_data(size).map_err(|problem| Error::new(Some(path), at, problem))?;
        self.finish_data()
    }

    fn begin_data(&mut self, size: u64) -> Result<(), Problem> {
        self.stream.offset.checked_add(size).and_then(|end| end.checked_add(UNIT)).ok_or_else(too_far)?;
        (self.left, self.padding) = (size, padding(size));
        Ok(())
    }

    /// The size and map of an old GNU or star sparse file; extension blocks precede the data.
    fn old_map(&mut self, header: &Header, size: Option<u64>, at: u64) -> Result<(u64, Option<Vec<Segment>>), Error> {
        let fail = |problem| Error::new(Some(&self.name), at, problem);
        let without = Problem::Unsupported("sparse file in a header that has no room for its map");
        let sparse = header.sparse().ok_or_else(|| fail(without))?;
        let size = size.map_or_else(|| sparse.real_size(), Ok).map_err(fail)?;
        let mut map = SparseMap::new(self.small_segments);
        let mut more = map.push_fields(sparse.map).map_err(|e| fail(e.into()))?;
        let mut extended = sparse.extended != 0;
        while extended {
            let at = self.stream.offset;
            let block = self.stream.block(Part::SparseMap).map_err(|e| e.of(&self.name))?;
            let block = block.ok_or_else(|| self.stream.cut(Part::SparseMap).of(&self.name))?;
            if more {
                let pushed = map.push_fields(&block[..504]);
                more = pushed.map_err(|e| Error::new(Some(&self.name), at, e))?;
            }
            extended = block[504] != 0;
        }
        self.small_segments.spend(&map);
        let segments = map.finish(size, self.left).map_err(|e| Error::new(Some(&self.name), at, e))?;
        Ok((size, segments))
    }

    /// The size and map from `GNU.sparse.*` records; in version 1.0 the map precedes the data.
    fn pax_map(&mut self, sparse: &pax::PaxSparse, at: u64) -> Result<(u64, Option<Vec<Segment>>), Error> {
        let pax::PaxSparse { major, minor, real_size, segments, map: numbers, .. } = sparse;
        if major.is_none() && minor.is_none() && real_size.is_none() && segments.is_none() && numbers.is_empty() {
            return Ok((self.left, None));
        }
        let name = std::mem::take(&mut self.name);
        let fail = |problem: SparseError| Error::new(Some(&name), at, problem);
        let size = real_size.ok_or_else(|| fail(SparseError::NoSize))?;
        let map = match (major.unwrap_or(0), minor.unwrap_or(0)) {
            (0, _) => {
                let mut map = SparseMap::new(self.small_segments);
                map.push_numbers(numbers, *segments).map_err(fail)?;
                map
            }
            (1, 0) => self.text_map(&name)?,
            (major, minor) => return Err(fail(SparseError::Version(major, minor))),
        };
        self.small_segments.spend(&map);
        let segments = map.finish(size, self.left).map_err(fail)?;
        self.name = name;
        Ok((size, segments))
    }

    fn text_map(&mut self, name: &[u8]) -> Result<SparseMap, Error> {
        let mut parser = TextMap::new(self.small_segments);
        loop {
            let at = self.stream.offset;
            self.left = self.left.checked_sub(UNIT).ok_or_else(|| Error::new(Some(name), at, SparseError::Unended))?;
            let block = self.stream.block(Part::SparseMap).map_err(|e| e.of(name))?;
            let block = block.ok_or_else(|| self.stream.cut(Part::SparseMap).of(name))?;
            if let Some(map) = parser.block(&block).map_err(|e| Error::new(Some(name), at, e))? {
                return Ok(map);
            }
        }
    }
}

/// The number of a device: PAX records take precedence over the header's fields.
fn device(header: &Header, major: Option<u32>, minor: Option<u32>) -> Result<Device, Problem> {
    if let (Some(major), Some(minor)) = (major, minor) {
        return Ok(Device { major, minor });
    }
    let (from, number) = header.device()?;
    Ok(Device { major: major.unwrap_or(from), minor: minor.unwrap_or(number) })
}

fn too_far() -> Problem {
    Problem::Unsupported("size beyond all streams")
}
