//! What `tar2ext4` says at the end: the report on the image, or the file that an error is about.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use uuid::Uuid;

use super::{AtPath, Failure, Tar2ext4, VerityReport};
use crate::ext4::{self, Report};
use crate::pack;

impl Tar2ext4 {
    /// Writes the report to `out` if asked for; otherwise what a hash tree is useless without, to standard error. This
    /// happens before the image replaces its target (S9).
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_report(
        &self,
        tool: &str,
        report: &Report,
        verity: Option<&VerityReport>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        if !self.json {
            if let Some(verity) = verity {
                verity.say(tool);
            }
            return Ok(());
        }
        let mut json = serde_json::json!({
            "size": report.bytes,
            "block_size": ext4::BLOCK_SIZE,
            "blocks": report.blocks,
            "free_blocks": report.free_blocks,
            "inodes": report.inodes,
            "free_inodes": report.free_inodes,
            "uuid": Uuid::from_bytes(report.uuid).to_string(),
            "label": String::from_utf8_lossy(&report.label),
        });
        if let Some(verity) = verity {
            json["verity"] = verity.json();
        }
        writeln!(out, "{json}").and_then(|()| out.flush())
    }

    /// `error` with the name of the file that it is about. `room` is the size limit where the image is written in
    /// place, in bytes.
    #[must_use]
    pub fn failure(&self, error: pack::Error, room: Option<u64>) -> Failure {
        if let (Some(room), Some((needed, size))) = (room, no_space(&error)) {
            return Failure::failed(AtPath::new(&self.output, NoRoom { needed, size, room }));
        }
        match error {
            pack::Error::Image(ext4::Error::Option(text)) => Failure::Usage(text),
            error if is_of_the_image(&error) => Failure::failed(AtPath::new(&self.output, error)),
            error => match self.tar.as_deref().filter(|tar| *tar != Path::new("-")) {
                Some(tar) => Failure::failed(AtPath::new(tar, error)),
                None => Failure::failed(error),
            },
        }
    }
}

/// Whether an error is about the image rather than the archive.
fn is_of_the_image(error: &pack::Error) -> bool {
    let (pack::Error::Member { problem, .. } | pack::Error::Entry { problem, .. }) = error else {
        return matches!(error, pack::Error::Image(_));
    };
    matches!(&**problem, pack::EntryError::Image(ext4::Error::Write { .. } | ext4::Error::NoSpace { .. }))
}

/// The size needed and the size there is, if the error is about space.
fn no_space(error: &pack::Error) -> Option<(u64, u64)> {
    match error.image()? {
        ext4::Error::NoSpace { size, needed } => Some((*needed, *size)),
        _ => None,
    }
}

/// Too little space in a target that is written in place, where the size has a limit.
#[derive(Debug)]
struct NoRoom {
    needed: u64,
    size: u64,
    room: u64,
}

impl std::error::Error for NoRoom {}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, size, room } = self;
        if needed <= room {
            return write!(
                f,
                "no space: the image needs {needed} bytes, its size is {size} (--size {needed} is enough, there is room \
                 for {room})"
            );
        }
        write!(
            f,
            "no space: the image needs {needed} bytes, there is room for {room}: it takes a larger device or disk image"
        )
    }
}
