//! `tar2ext4`: random trees. e2fsck is silent, the kernel shows what was packed, and can change it (E2).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::support::{Filter, LoopMount, Snapshot, e2fsck_clean, in_parallel, needs_root, scratch, shell};

/// A tree on disk in which every choice comes from one seed.
struct RandomTree {
    random: fastrand::Rng,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl RandomTree {
    fn make(root: &Path, seed: u64) {
        fs::create_dir(root).unwrap();
        let random = fastrand::Rng::with_seed(seed);
        let mut tree = Self { random, directories: vec![root.to_owned()], files: Vec::new() };
        let entries = match tree.random.u8(0..10) {
            0 => 0,
            1 => tree.random.usize(300..1200), // enough for an index
            _ => tree.random.usize(1..60),
        };
        // A few directories get most of the entries.
        for _ in 0..entries {
            let spread = tree.random.usize(1..=tree.directories.len());
            let parent = tree.directories[tree.random.usize(0..spread)].clone();
            tree.entry(&parent);
        }
        for directory in tree.directories.clone().iter().rev() {
            tree.attributes(directory, FileType::Directory);
        }
    }

    fn entry(&mut self, parent: &Path) {
        let path = parent.join(self.name());
        if fs::symlink_metadata(&path).is_ok() {
            return;
        }
        let kind = match self.random.u8(0..20) {
            0..=3 => {
                fs::create_dir(&path).unwrap();
                self.directories.push(path);
                return; // gets its attributes last, or its mtime would not stay
            }
            4 | 5 => {
                let length = if self.random.u8(0..4) == 0 { self.random.usize(56..70) } else { 12 };
                let target: String = (0..length).map(|_| self.random.alphanumeric()).collect();
                symlink(target, &path).unwrap();
                FileType::Symlink
            }
            6 => {
                mknod(&path, FileType::Fifo, 0);
                FileType::Fifo
            }
            7 => {
                let device = rustix::fs::makedev(self.random.u32(1..4096), self.random.u32(0..1 << 20));
                let kind = if self.random.bool() { FileType::CharacterDevice } else { FileType::BlockDevice };
                mknod(&path, kind, device);
                kind
            }
            8 | 9 if !self.files.is_empty() => {
                let target = &self.files[self.random.usize(0..self.files.len())];
                fs::hard_link(target, &path).unwrap();
                return;
            }
            _ => {
                self.content(&path);
                self.files.push(path.clone());
                FileType::RegularFile
            }
        };
        self.attributes(&path, kind);
    }

    fn name(&mut self) -> OsString {
        let length = match self.random.u8(0..12) {
            0 => self.random.usize(200..=255),
            _ => self.random.usize(1..20),
        };
        let name: Vec<u8> = match self.random.u8(0..4) {
            0 => (0..length)
                .map(|_| self.random.u8(1..=255))
                .map(|byte| if byte == b'/' { b'_' } else { byte })
                .collect(),
            _ => (0..length).map(|_| self.random.alphanumeric() as u8).collect(),
        };
        let reserved = matches!(&name[..], b"." | b".." | b"lost+found");
        OsString::from_vec(if reserved { b"reserved".to_vec() } else { name })
    }

    fn content(&mut self, path: &Path) {
        let file = fs::File::create(path).unwrap();
        let size = match self.random.u8(0..8) {
            0 => 0,
            1 => 4096 * self.random.u64(1..40),
            2 => self.random.u64(0..3_000_000),
            _ => self.random.u64(1..9000),
        };
        file.set_len(size).unwrap();
        for _ in 0..self.random.u8(0..4) {
            let start = self.random.u64(0..=size);
            let length = usize::try_from(self.random.u64(0..=(size - start).min(200_000))).unwrap();
            let bytes = vec![self.random.u8(..); length];
            file.write_all_at(&bytes, start).unwrap();
        }
    }

    fn attributes(&mut self, path: &Path, kind: FileType) {
        let random = &mut self.random;
        let (uid, gid) = (random.u32(0..u32::MAX - 1), random.u32(0..70_000));
        rustix::fs::chownat(CWD, path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
            .unwrap();
        if kind != FileType::Symlink {
            rustix::fs::chmod(path, Mode::from_raw_mode(random.u32(0..0o10000))).unwrap();
        }
        for _ in 0..random.u8(0..8).saturating_sub(4) {
            let mut spaces = vec!["trusted", "security"];
            if matches!(kind, FileType::RegularFile | FileType::Directory) {
                spaces.push("user");
            }
            let length = random.usize(1..12);
            let name: String = (0..length).map(|_| random.alphanumeric()).collect();
            let name = format!("{}.{name}", spaces[random.usize(0..spaces.len())]);
            let length = if random.u8(0..6) == 0 { random.usize(0..700) } else { random.usize(0..40) };
            let value: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            rustix::fs::lsetxattr(path, name, &value, XattrFlags::empty()).unwrap();
        }
        // What ext4 can hold: 1901 to 2310.
        let time =
            Timespec { tv_sec: random.i64(-2_147_483_648..10_737_418_240), tv_nsec: random.i64(0..1_000_000_000) };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn mknod(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

/// The size to ask for: any at all, what the content needs to the byte, or somewhat more.
fn size(tar: &Path, flags: &[String], image: &Path, random: &mut fastrand::Rng) -> u64 {
    if random.bool() {
        return random.u64(96 << 20..600 << 20);
    }
    let ran = Filter::tar2ext4().arg("-o").arg(image).args(flags).arg("--size=8K").stdin_file(tar).run();
    let needed = ran.stderr.split("needs ").nth(1).and_then(|rest| rest.split(' ').next());
    let needed: u64 = needed.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{}", ran.report()));
    let more = [1, 1 << 20, 300 << 20][random.usize(0..3)];
    needed + random.u64(0..more)
}

/// A random tree, its archive, and how to pack it.
pub struct RandomInput {
    pub tree: PathBuf,
    pub tar: PathBuf,
    pub flags: Vec<String>,
    random: fastrand::Rng,
}

impl RandomInput {
    /// The one of this seed, made in `directory`.
    pub fn make(seed: u64, directory: &Path) -> Self {
        let [tree, tar, image] = ["tree", "tar", "image"].map(|name| directory.join(name));
        RandomTree::make(&tree, seed);
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let sparse = if random.bool() { "--sparse" } else { "" };
        let xattrs = "--xattrs --xattrs-include='*'";
        let script = format!("tar -C \"$0\" --format=posix {sparse} {xattrs} --numeric-owner -cf \"$1\" .");
        shell(&script).args([&tree, &tar]).run().succeeds();

        let mut flags: Vec<String> = Vec::new();
        let mut option = |chance: bool, flag: String| flags.extend(chance.then_some(flag));
        option(random.bool(), "--compat".to_owned());
        option(random.u8(0..4) == 0, "-J".to_owned());
        option(random.u8(0..4) == 0, "--no-sparse".to_owned());
        option(random.u8(0..4) == 0, format!("--reserved={}", random.u8(0..20)));
        option(random.u8(0..4) == 0, format!("--bytes-per-inode={}", 1024 * random.u32(1..64)));
        if random.bool() {
            flags.push(format!("--size={}", size(&tar, &flags, &image, &mut random)));
        } else if random.bool() {
            flags.push(format!("--free={}%", random.u8(1..70)));
        }
        Self { tree, tar, flags, random }
    }
}

fn check(seed: u64) {
    let scratch = scratch();
    let RandomInput { tree, tar, flags, mut random } = RandomInput::make(seed, scratch.path());
    let image = scratch.path().join("image");
    let run = Filter::tar2ext4().arg("-o").arg(&image).args(&flags).stdin_file(&tar).run();
    println!("seed {seed}: {}", run.command); // shown when it fails
    run.succeeds().quiet();
    e2fsck_clean(&image);
    let mount = LoopMount::read_write(&image);
    let expected = Snapshot::of(&tree).mask_path("lost+found", "tar2ext4 makes it");
    expected.assert_same(&Snapshot::of(mount.path()));
    change(mount.path(), &mut random);
    mount.unmount();
    e2fsck_clean(&image);
}

/// Makes, renames and removes files in every directory. An image without space to spare may say so, and nothing else.
fn change(root: &Path, random: &mut fastrand::Rng) {
    let allow_full = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => panic!("{}: {error}", root.display()),
        result => result.is_ok(),
    };
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else if random.u8(0..3) == 0 {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        let new = |number: u8| directory.join(format!("new {number}"));
        for number in 0..5 {
            // A file that has a name but no room for its content is written on, or removed, as any other.
            allow_full(fs::write(new(number), vec![number; random.usize(0..9000)]));
        }
        if new(1).exists() {
            allow_full(fs::rename(new(1), new(9)));
        }
        if new(2).exists() {
            fs::remove_file(new(2)).unwrap();
        }
        if allow_full(fs::create_dir(directory.join("new directory"))) && random.bool() {
            fs::remove_dir(directory.join("new directory")).unwrap();
        }
    }
}

/// Does `check` for these seeds, on all processors.
pub fn check_all(seeds: Range<u64>, check: impl Fn(u64) + Sync) {
    needs_root("make devices and mount images");
    in_parallel(seeds, check);
}

#[test]
fn random_trees_come_back_as_they_were() {
    check_all(0..40, check);
}

#[test]
#[ignore = "check-full: 2,000 trees take some minutes"]
fn two_thousand_random_trees_come_back_as_they_were() {
    check_all(1000..3000, check);
}
