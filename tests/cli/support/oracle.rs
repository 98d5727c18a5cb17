//! e2fsprogs, and other tools whose word counts.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ext4_view::{Ext4, Ext4Error, Ext4Read};

use super::filter::{Filter, Ran};

/// [`e2fsck_silent`], and ext4-view, which verifies checksums too, can read what it is given.
#[track_caller]
pub fn e2fsck_clean(image: impl AsRef<Path>) {
    let image = image.as_ref();
    e2fsck_silent(image);
    ext4_view_reads(image);
}

/// Fails unless `e2fsck -fn` finds nothing to say but its own headings and the closing summary.
#[track_caller]
pub fn e2fsck_silent(image: impl AsRef<Path>) {
    let image = image.as_ref();
    let check = Filter::tool("e2fsck").arg("-fn").arg(image).run();
    let complaint = check.stdout.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).find(|line| {
        let summary = line.starts_with(&*format!("{}", image.display())) || line.contains(" files (");
        !(line.is_empty() || line.starts_with("Pass ") || summary)
    });
    // Its version goes to stderr; everything else there is a complaint.
    let warning = check.stderr.lines().find(|line| !line.starts_with("e2fsck 1."));
    let clean = check.status.success() && complaint.is_none() && warning.is_none();
    assert!(clean, "e2fsck complains: {}\n{}", complaint.unwrap_or_default(), check.report());
}

/// Has ext4-view read directories, inodes and small files: some thousands, for it finds each from the root anew.
#[track_caller]
fn ext4_view_reads(image: &Path) {
    let fail =
        |path: &dyn Debug, error: Ext4Error| -> ! { panic!("ext4-view: {}: {path:?}: {error}", image.display()) };
    let file = Reading(File::open(image).expect("the image"));
    let view = Ext4::load(Box::new(file)).unwrap_or_else(|error| fail(&"/", error));
    let mut left = vec![ext4_view::PathBuf::new("/")];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        // ext4-view 1.0 takes no inode whose seconds have the highest bit: before 1970, and from 2038 to 2106.
        let odd_time = |error: &Ext4Error| error.to_string().contains("timestamp");
        let entries = match view.read_dir(&path) {
            Err(error) if odd_time(&error) => continue,
            entries => entries.unwrap_or_else(|error| fail(&path, error)),
        };
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| fail(&path, error));
            seen += 1;
            if seen > 3000 {
                return;
            }
            if entry.file_name() == "." || entry.file_name() == ".." {
                continue;
            }
            let metadata = match view.symlink_metadata(&entry.path()) {
                Err(error) if odd_time(&error) => continue,
                metadata => metadata.unwrap_or_else(|error| fail(&entry.path(), error)),
            };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.is_symlink() && metadata.len() < 256 {
                // Of a longer one it wants a slash within 255 bytes.
                view.read_link(&entry.path()).unwrap_or_else(|error| fail(&entry.path(), error));
            } else if metadata.file_type().is_regular_file() && metadata.len() < 1 << 18 {
                view.read(&entry.path()).unwrap_or_else(|error| fail(&entry.path(), error));
            }
        }
    }
}

struct Reading(File);

impl Ext4Read for Reading {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_exact_at(into, start)?)
    }
}

/// The answer of `debugfs -R request image`.
#[track_caller]
pub fn debugfs(image: impl AsRef<Path>, request: &str) -> String {
    let ran = Filter::tool("debugfs").args(["-R", request]).arg(image.as_ref()).run().succeeds();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// `dumpe2fs -h`: the superblock in words.
#[track_caller]
pub fn dumpe2fs(image: impl AsRef<Path>) -> String {
    let ran = Filter::tool("dumpe2fs").arg("-h").arg(image.as_ref()).run().succeeds();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// The blocks that the bitmaps call free, as `dumpe2fs` lists them: its lists stand in lines of their own, indented.
#[track_caller]
pub fn free_blocks(image: impl AsRef<Path>) -> Vec<RangeInclusive<u64>> {
    let ran = Filter::tool("dumpe2fs").arg(image.as_ref()).run().succeeds();
    let lists = ran.text().lines().filter_map(|line| line.strip_prefix("  Free blocks: "));
    let ranges = lists.flat_map(|list| list.split(", ")).filter(|range| !range.is_empty());
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("dumpe2fs wrote {text:?}"));
    let bounds = ranges.map(|range| range.split_once('-').unwrap_or((range, range)));
    bounds.map(|(first, last)| number(first)..=number(last)).collect()
}

/// Runs a tool that must succeed.
#[track_caller]
pub fn tool<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Ran {
    Filter::tool(name).args(args).run().succeeds()
}

/// Pushes the tag `latest` of an OCI layout to a registry without TLS, as skopeo does it.
#[track_caller]
pub fn skopeo_push(layout: &Path, name: &str) {
    let from = format!("oci:{}:latest", layout.display());
    tool(
        "skopeo",
        ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", &from, &format!("docker://{name}")],
    );
}
