//! What `tar2ext4` says in the end: the report of an image, or what its error is about.

use std::io::{self, Write};
use std::path::Path;

use uuid::Uuid;

use super::{At, Failure, Tar2ext4};
use crate::ext4::{self, Report};
use crate::pack;

impl Tar2ext4 {
    /// Writes the report to `out` if it was asked for. It must be safe before the image takes its place (S9).
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write_report(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        let json = serde_json::json!({
            "size": report.bytes,
            "block_size": ext4::BLOCK_SIZE,
            "blocks": report.blocks,
            "free_blocks": report.free_blocks,
            "inodes": report.inodes,
            "free_inodes": report.free_inodes,
            "uuid": Uuid::from_bytes(report.uuid).to_string(),
            "label": String::from_utf8_lossy(&report.label),
        });
        writeln!(out, "{json}").and_then(|()| out.flush())
    }

    /// `error` with the name of the file that it is about.
    #[must_use]
    pub fn failure(&self, error: pack::Error) -> Failure {
        match error {
            pack::Error::Image(ext4::Error::Option(text)) => Failure::Usage(text),
            error if is_of_the_image(&error) => Failure::failed(At::new(&self.output, error)),
            error => match self.tar.as_deref().filter(|tar| *tar != Path::new("-")) {
                Some(tar) => Failure::failed(At::new(tar, error)),
                None => Failure::failed(error),
            },
        }
    }
}

/// Whether the image, and not the archive, is what an error is about.
fn is_of_the_image(error: &pack::Error) -> bool {
    let (pack::Error::Member { problem, .. } | pack::Error::Entry { problem, .. }) = error else {
        return matches!(error, pack::Error::Image(_));
    };
    matches!(&**problem, pack::Problem::Image(ext4::Error::Write { .. } | ext4::Error::NoSpace { .. }))
}
