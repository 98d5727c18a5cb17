use std::io::{self, Write};

use super::{BLOCK, Body, FileLayout, WriteError, encode};
use crate::meta::Named;

/// Writes a canonical tar stream.
///
/// The data of a file is the caller's to write, straight to [`Writer::get_mut`] or behind it (after a flush, by
/// splice): the bytes that [`Writer::header`] asks for, then [`Writer::pad`].
///
/// ```
/// use oci2ext4::meta::{Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};
/// use oci2ext4::tar::{FileLayout, Writer};
/// use std::io::Write;
/// let mut writer = Writer::new(Vec::new());
/// let meta = Metadata { mode: 0o644, uid: 0, gid: 0, mtime: Timestamp::EPOCH };
/// let entry = Entry::Node(NodeKind::File(FileLayout { size: 5, sparse: None }));
/// let body = writer.header(&Named { path: b"etc/motd", entry, meta, xattrs: Xattrs::NONE })?;
/// writer.get_mut().write_all(b"hello")?;
/// writer.pad(&body)?;
/// assert_eq!(writer.finish()?.len(), 4 * 512);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<W> {
    out: W,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer at the beginning of a stream.
    pub fn new(out: W) -> Self {
        Self { out, block: Vec::new() }
    }

    /// Writes everything of a member that stands before its data.
    ///
    /// # Errors
    /// As [`encode`], and the stream's own.
    pub fn header(&mut self, member: &Named<'_, FileLayout<'_>, &[u8]>) -> Result<Body, WriteError> {
        self.block.clear();
        let body = encode(member, &mut self.block)?;
        self.out.write_all(&self.block)?;
        Ok(body)
    }

    /// Writes the zeros after a member's data.
    ///
    /// # Errors
    /// The stream's own.
    pub fn pad(&mut self, body: &Body) -> io::Result<()> {
        self.out.write_all(&[0; BLOCK][..body.padding.min(BLOCK)])
    }

    /// The stream, for a member's data.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the end marker, flushes and returns the stream. Only a whole archive may have it (S3).
    ///
    /// # Errors
    /// The stream's own.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&END_MARKER)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Two zero blocks.
pub const END_MARKER: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
