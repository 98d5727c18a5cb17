//! `tar2ext4` on archives that were cut or damaged: an error with member and offset, or the same image; never a panic,
//! never a file left (S1, S2, I3). In-process where it takes a hundred thousand runs.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor};
use std::sync::atomic::{AtomicUsize, Ordering};

use oci2ext4::ext4::{Identity, Options, Target};
use oci2ext4::meta::Timestamp;
use oci2ext4::pack::{Error, Identify, PackOptions, pack};
use oci2ext4::tar::{Reader, Segment};

use crate::support::{Filter, in_parallel, needs, needs_root, scratch, shell};

/// An image in memory.
struct Memory<'a>(&'a mut Vec<u8>);

impl Target for Memory<'_> {
    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.extend_to((offset + data.len()) as u64)?;
        self.0[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn clear(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + len).unwrap());
        self.extend_to(offset + len)?;
        self.0[from..to].fill(0);
        Ok(())
    }

    fn extend_to(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
        Ok(())
    }

    fn barrier(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn image(archive: Vec<u8>) -> Result<Vec<u8>, Error> {
    let image = Options { size: Some(1 << 20), ..Options::default() };
    let identity = Identify::As(Identity {
        uuid: [1; 16],
        hash_seed: [2; 16],
        now: Timestamp::EPOCH,
        last_write: Timestamp::EPOCH,
    });
    let mut memory = Vec::new();
    let options = PackOptions { image, identity, allow_missing_eof: false };
    pack(Cursor::new(archive), Memory(&mut memory), &options)?;
    Ok(memory)
}

/// About 200 KB in one dialect: all kinds of members, long names, holes, xattrs.
fn archive(options: &str) -> Vec<u8> {
    needs(&["tar", "setfattr"]);
    needs_root("make devices");
    let script = r#"
        set -e; cd "$0"; umask 022; mkdir d; printf hello > d/file; ln d/file d/link; ln -s file d/symlink; mkfifo d/fifo
        mknod d/c c 1 3; mknod d/b b 7 0; : > d/empty; long=$(printf 'n%.0s' $(seq 150)); printf l > "d/$long"
        ln -s "$long" "d/l$long"; truncate -s 1M d/holes; head -c 130000 /dev/zero | tr '\0' x > d/large; seq 9000 > d/seq
        for at in 1 5 9 20 30 40; do printf data | dd of=d/holes bs=4096 seek=$at conv=notrunc status=none; done
        setfattr -n user.a -v "$(seq 100)" d/seq; find . -exec touch -h -d @1234567890.5 {} +
    "#;
    let scratch = scratch();
    shell(script).arg(scratch.path()).run().succeeds();
    let command = format!("tar -C \"$0\" --sort=name --numeric-owner --sparse -b 1 {options} -cf - .");
    shell(&command).arg(scratch.path()).run().succeeds().stdout
}

const GNU: &str = "--format=gnu";
const PAX: &str = "--format=posix --xattrs --pax-option=delete=atime,delete=ctime";

/// Which bytes are data of files, and so no prefix of them differs from another in what it shows.
fn data(archive: &[u8]) -> Vec<Segment> {
    let mut reader = Reader::new(archive);
    let mut data = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        data.extend(member.entry.content().map(|file| Segment { offset: file.data_offset, len: file.stored }));
    }
    data
}

/// Every prefix, but inside of long data only every `step`th.
fn prefixes_fail(archive: &[u8], step: usize) {
    let data = data(archive);
    in_parallel(0..archive.len() as u64, |len| {
        let len = len as usize;
        let inside = |d: &Segment| (d.offset + 600..(d.offset + d.len).max(600) - 600).contains(&(len as u64));
        if data.iter().any(inside) && len % step != 0 {
            return;
        }
        let error = image(archive[..len].to_vec()).expect_err("a prefix made an image").to_string();
        assert_eq!(
            error.matches(" at byte ").count() + usize::from(error.starts_with("at byte ")),
            1,
            "{len}: {error}"
        );
        assert!(error.contains(&format!("at byte {len}: the archive ")), "{len}: {error}");
    });
}

#[test]
fn every_prefix_is_an_error_that_says_where() {
    prefixes_fail(&archive(GNU), 61);
    prefixes_fail(&archive(PAX), 61);
}

#[test]
#[ignore = "check-full: 400,000 archives, some minutes"]
fn every_single_prefix_is_an_error_that_says_where() {
    for options in [GNU, PAX] {
        let archive = archive(options);
        assert!(archive.len() > 190_000, "{}", archive.len());
        prefixes_fail(&archive, 1);
        flips_are_found(&archive, true);
    }
}

/// Flips each bit of each header block, or of the first of each type.
fn flips_are_found(archive: &[u8], each: bool) {
    let whole = image(archive.to_vec()).unwrap();
    let is_header = |block: &&[u8]| matches!(&block[257..263], b"ustar\0" | b"ustar ");
    let headers = archive.chunks_exact(512).enumerate().filter(|(_, block)| is_header(block));
    let mut types = HashSet::new();
    let headers: Vec<_> = headers.filter(|(_, block)| types.insert(block[156]) || each).map(|(i, _)| i).collect();
    assert!(types.len() >= 8, "{types:?}");
    let same = AtomicUsize::new(0);
    in_parallel(0..headers.len() as u64 * 4096, |flip| {
        let flip = flip as usize;
        let at = headers[flip / 4096] * 512;
        let mut damaged = archive.to_vec();
        damaged[at + flip % 4096 / 8] ^= 1 << (flip % 8);
        match image(damaged) {
            Ok(image) => {
                assert!(image == whole, "bit {} of the header at {at} makes another image", flip % 4096);
                same.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(&format!("at byte {at}: not a tar header")), "bit {}: {error}", flip % 4096);
            }
        }
    });
    // Blanks in place of leading zeros in the checksum itself, and its last byte.
    assert!(same.into_inner() <= headers.len() * 20);
}

#[test]
fn every_bit_of_a_header_counts_or_does_not_matter() {
    flips_are_found(&archive(GNU), false);
    flips_are_found(&archive(PAX), true);
}

#[test]
fn damage_leaves_no_file() {
    let archive = archive(PAX);
    let scratch = scratch();
    let run = |damaged: Vec<u8>| {
        let image = scratch.path().join("image");
        Filter::tar2ext4().arg("-o").arg(&image).stdin(damaged).run().fails_with(1, " at byte ").one_line();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "something is left");
    };
    for len in (0..archive.len()).step_by(archive.len() / 40) {
        run(archive[..len].to_vec());
        let mut damaged = archive.clone();
        damaged[len / 512 * 512 + 100..][..8].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff");
        if archive[len / 512 * 512 + 257..].starts_with(b"ustar") {
            run(damaged);
        }
    }
}
