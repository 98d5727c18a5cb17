//! `--verity`: a hash tree appended to the file system, or in a file of its own (E12).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::terminal;
use super::uuid_choice::random;
use super::{AtPath, Failure, Output, Tar2ext4};
use crate::ext4::Report;
use crate::image::hex;
use crate::sys;
use crate::verity::{self, FileFrom, Hash, Levels, Superblock};

/// Where the tree goes.
#[derive(Debug)]
pub struct VerityTree {
    /// Its own file, if it has one.
    file: Option<(PathBuf, Output)>,
}

/// What `veritysetup` and the kernel need to check the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerityReport {
    /// The root hash, which vouches for everything.
    pub root: Hash,
    /// Where the superblock starts, in bytes from the start of the file system or of the tree's own file.
    pub hash_offset: u64,
    /// Salt, UUID and number of data blocks.
    pub superblock: Superblock,
}

impl Tar2ext4 {
    /// Whether the tree is appended to the file system.
    #[must_use]
    pub fn has_tree_behind(&self) -> bool {
        self.verity == Some(None)
    }

    /// Opens the output for the tree, if one is asked for.
    ///
    /// # Errors
    /// As [`Output::create`], and when it is the image itself.
    pub fn open_tree(&self, image: &Output) -> Result<Option<VerityTree>, Failure> {
        let Some(place) = &self.verity else { return Ok(None) };
        let Some(path) = place else { return Ok(Some(VerityTree { file: None })) };
        let output = Output::create(path).map_err(Failure::failed)?;
        if output.is_same_as(image) {
            return Err(Failure::failed(AtPath::new(path, io::Error::other("is the image too"))));
        }
        if self.json {
            output.require_other_than_stdout().map_err(Failure::failed)?;
        }
        Ok(Some(VerityTree { file: Some((path.clone(), output)) }))
    }

    /// Hashes the finished file system and writes the tree.
    ///
    /// # Errors
    /// When the image cannot be read or the tree cannot be written.
    pub fn write_tree(&self, tree: &VerityTree, image: &Output, report: &Report) -> Result<VerityReport, Failure> {
        let start = self.offset.unwrap_or(0);
        let data = FileFrom { file: image.file(), start };
        let superblock = self.superblock(report)?;
        let behind = report.bytes.next_multiple_of(verity::BLOCK_BYTES);
        let levels = Levels::new(report.blocks);
        let (path, output, to, hash_offset): (&Path, _, _, _) = match &tree.file {
            None => (&self.output, image, FileFrom { start: start.saturating_add(behind), ..data }, behind),
            Some((path, output)) => (path, output, FileFrom { file: output.file(), start: 0 }, 0),
        };
        let at = |error| Failure::failed(AtPath::new(path, error));
        let own_room = tree.file.as_ref().map_or(Ok(None), |(_, output)| output.room(0, false)).map_err(at)?;
        if own_room.is_some_and(|room| room < levels.bytes()) {
            return Err(at(io::Error::other(format!("the hash tree needs {} bytes", levels.bytes()))));
        }
        let begun = Instant::now();
        let root = verity::write_tree(data, to, &superblock, output.is_in_place()).map_err(at)?;
        let (blocks, seconds) = (levels.data_blocks(), begun.elapsed().as_secs_f64());
        log::info!("hash tree over {blocks} blocks in {seconds:.2} s");
        Ok(VerityReport { root, hash_offset, superblock })
    }

    /// With `SOURCE_DATE_EPOCH`, salt and UUID derive from the image's UUID and hash seed, and thus from the content
    /// (S6).
    fn superblock(&self, report: &Report) -> Result<Superblock, Failure> {
        let mut salt = [0; 32];
        let mut uuid = [0; 16];
        if super::source_date_epoch()?.is_some() {
            let derive = |what: &str| -> [u8; 32] {
                let sha = Sha256::new_with_prefix(b"tar2ext4 verity 1\n").chain_update(what);
                sha.chain_update(report.uuid).chain_update(report.hash_seed).finalize().into()
            };
            salt = derive("salt\n");
            uuid.copy_from_slice(&derive("uuid\n")[..16]);
            uuid = uuid::Builder::from_custom_bytes(uuid).into_uuid().into_bytes();
        } else {
            sys::random(&mut salt).map_err(Failure::failed)?;
            uuid = random()?;
        }
        Ok(Superblock { uuid, data_blocks: report.blocks, salt })
    }
}

impl VerityTree {
    /// Puts the tree's own file in place, before the image.
    ///
    /// # Errors
    /// As [`Output::commit`].
    pub fn commit(self, fsync: bool) -> Result<(), Failure> {
        self.file.map_or(Ok(()), |(_, output)| output.commit(fsync)).map_err(Failure::failed)
    }
}

impl VerityReport {
    /// Its part of the `--json` report.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "root_hash": hex(&self.root),
            "salt": hex(&self.superblock.salt),
            "hash_offset": self.hash_offset,
            "data_blocks": self.superblock.data_blocks,
            "uuid": Uuid::from_bytes(self.superblock.uuid).to_string(),
        })
    }

    /// Prints one line for people: without the root hash the tree is worthless.
    pub(super) fn say(&self, tool: &str) {
        let (root, salt) = (hex(&self.root), hex(&self.superblock.salt));
        // Nobody may be reading stderr any more.
        let (offset, blocks) = (self.hash_offset, self.superblock.data_blocks);
        let what = format!("root hash {root}, salt {salt}, hash offset {offset}, data blocks {blocks}");
        let _ = terminal::say(format!("{tool}: verity: {what}\n").as_bytes());
    }
}
