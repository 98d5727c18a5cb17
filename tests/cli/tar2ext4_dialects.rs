//! `tar2ext4`: one tree in every dialect of GNU tar, bsdtar and Python's tarfile is one image, to the byte (I1, I2, S6).

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Filter, LoopMount, Snapshot, e2fsck_clean, needs, needs_root, scratch, sha256, shell};

/// What v7 headers can hold.
const V7: &str = r#"
    mkdir -p dir/sub empty; printf a > a; : > "empty file"; head -c 20000 /dev/zero | tr '\0' x > dir/sub/blocks
    seq 10000 > dir/seq; ln dir/seq dir/zlink; ln -s ../dir/seq link; printf l > "$(printf 'raw\377\376')"
    chmod 4751 a; chmod 1777 dir; chmod 0 "empty file"; chown 12:34 a dir/seq; chown -h 5:6 link
"#;

/// What takes ustar: devices, FIFOs, names up to 255 bytes.
const USTAR: &str = r#"
    mknod char c 259 70000; mknod block b 1 255; mkfifo -m 600 fifo
    long=$(printf 'n%.0s' $(seq 90)); mkdir -p $long/dir; printf deep > $long/$long; ln -s $long long
"#;

/// What takes GNU's or PAX's: any name, any owner, holes.
const GNU: &str = r#"
    long=$(printf 'm%.0s' $(seq 200)); mkdir -p $long/$long/$long; printf deeper > $long/$long/$long/"$(printf 'f\344')"
    long2=$(printf 'n%.0s' $(seq 90)); ln $long2/$long2 zlong; ln $long/$long/$long/f* zdeeper; ln -s $long/$long/$long ldeeper
    printf far > far; chown 3000000000:4000000000 far
    truncate -s 3M holes; truncate -s 1M "only hole"
    for at in 1 5 100 101 102 300 400 500 600 700; do printf data | dd of=holes bs=4096 seek=$at conv=notrunc status=none; done
"#;

/// What takes base-256 or PAX times.
const TIMES: &str = "touch old young";

/// What takes PAX records.
const PAX: &str = r#"
    printf n > nanoseconds; printf x > xattrs; mkdir acl; printf f > facl
    setfattr -n user.empty xattrs; setfattr -n user.binary -v 0x0a3d00ff0a xattrs; setfattr -n trusted.t -v v a
    setfattr -n user.a=b -v 'c=d' xattrs; setfattr -n user.100% -v '%3D' xattrs
    setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 dir/seq
    setfacl -m u:54321:rwx,g:0:r--,d:u:54322:r-x acl; setfacl -m u:0:r--,m::r-- facl
"#;

/// Whole seconds for everything.
const SECONDS: &str = "find . -exec touch -h -d @1234567890 {} +; touch -h -d @1000000000 dir link empty";

/// A way to archive the names that stand in the file `$names`, NUL after each.
struct Writer {
    name: &'static str,
    script: String,
}

fn gnu(name: &'static str, options: &str) -> Writer {
    let script = format!("tar --numeric-owner --no-recursion --null -T \"$names\" {options} -cf \"$tar\"");
    Writer { name, script }
}

fn bsd(format: &'static str) -> Writer {
    let options = "--numeric-owner --acls --xattrs -n --null";
    let script = format!("bsdtar {options} -T \"$names\" --format={format} -cf \"$tar\"");
    Writer { name: format, script }
}

fn python(format: &'static str) -> Writer {
    let script = format!(
        "python3 -c \"
import tarfile, os
t = tarfile.open(os.environ['tar'], 'w', format=tarfile.{format})
for name in open(os.environ['names'], 'rb').read().split(b'\\0')[:-1]:
    t.add(os.fsdecode(name), recursive=False)
t.close()\""
    );
    Writer { name: format, script }
}

/// A tree, and all that can archive it.
pub struct Kind {
    scripts: Vec<&'static str>,
    writers: Vec<Writer>,
}

/// `tar2ext4`, for this machine or another.
type Packer = fn() -> Filter;

/// Makes the tree, archives it by every writer, and demands the same image from all of them, by each of the packers. It
/// shows the tree.
pub fn one_image(Kind { scripts, writers }: &Kind, packers: &[Packer]) {
    needs(&["tar", "bsdtar", "python3", "setfattr", "setfacl"]);
    needs_root("make devices and foreign owners");
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let tree = at("tree");
    fs::create_dir(&tree).unwrap();
    let script = format!("set -e; cd \"$0\"; umask 022; {}", scripts.join("\n"));
    shell(&script).arg(&tree).run().succeeds();
    let names = "cd \"$0\" && find . -print0 | LC_ALL=C sort -z > \"$1\"";
    shell(names).args([&tree, &at("names")]).run().succeeds();

    let mut first: Option<(&str, String)> = None;
    for writer in writers {
        let tar = at("tar");
        let archive = shell(&writer.script).current_dir(&tree).env("names", at("names")).env("tar", &tar);
        archive.env("LC_ALL", "C.UTF-8").run().succeeds();
        let image = image_of(&tar, packers, scratch.path());
        let digest = sha256(&fs::read(&image).unwrap());
        match &first {
            None => {
                e2fsck_clean(&image);
                let mount = LoopMount::read_only(&image);
                let lost = "tar2ext4 makes it";
                Snapshot::of(&tree).mask_path("lost+found", lost).assert_same(&Snapshot::of(mount.path()));
                mount.unmount();
                for compress in ["gzip -1", "zstd -q"] {
                    let packed = at("packed");
                    shell(&format!("{compress} < \"$0\" > \"$1\"")).args([&tar, &packed]).run().succeeds();
                    let image = image_of(&packed, packers, scratch.path());
                    assert_eq!(digest, sha256(&fs::read(&image).unwrap()), "{} by {compress}", writer.name);
                }
                first = Some((writer.name, digest));
            }
            Some((name, first)) => assert_eq!(*first, digest, "{} makes another image than {name}", writer.name),
        }
    }
}

fn image_of(tar: &Path, packers: &[Packer], directory: &Path) -> PathBuf {
    let [image, other] = ["image.ext4", "other.ext4"].map(|name| directory.join(name));
    for (number, packer) in packers.iter().enumerate() {
        let target = if number == 0 { &image } else { &other };
        let filter = packer().arg("-o").arg(target).args(["--size", "24M"]).env("SOURCE_DATE_EPOCH", "1700000000");
        filter.stdin_file(tar).run().succeeds().quiet();
        assert!(number == 0 || fs::read(&image).unwrap() == fs::read(&other).unwrap(), "packer {number} differs");
    }
    image
}

fn gnus_own() -> Vec<Writer> {
    vec![
        gnu("gnu", "--format=gnu"),
        gnu("oldgnu", "--format=oldgnu"),
        gnu("gnu sparse", "--format=gnu --sparse"),
        gnu("oldgnu sparse", "--format=oldgnu --sparse"),
    ]
}

fn pax_writers() -> Vec<Writer> {
    let all = "--format=posix --xattrs --xattrs-include='*' --acls";
    vec![
        gnu("posix", all),
        gnu("posix sparse 0.0", &format!("{all} --sparse --sparse-version=0.0")),
        gnu("posix sparse 0.1", &format!("{all} --sparse --sparse-version=0.1")),
        gnu("posix sparse 1.0", &format!("{all} --sparse --sparse-version=1.0")),
        bsd("pax"),
    ]
}

/// Python reads no xattrs and keeps times as floating point numbers.
fn all_pax() -> Vec<Writer> {
    let mut writers = pax_writers();
    writers.push(python("PAX_FORMAT"));
    writers
}

fn ustar_writers() -> Vec<Writer> {
    vec![gnu("GNU's ustar", "--format=ustar"), bsd("ustar"), python("USTAR_FORMAT")]
}

fn other_gnu() -> Vec<Writer> {
    vec![bsd("gnutar"), python("GNU_FORMAT")]
}

pub fn v7() -> Kind {
    let v7 = vec![gnu("GNU's v7", "--format=v7"), bsd("v7")];
    let writers = [v7, ustar_writers(), gnus_own(), other_gnu(), all_pax()].into_iter().flatten().collect();
    Kind { scripts: vec![V7, SECONDS], writers }
}

pub fn ustar() -> Kind {
    let writers = [ustar_writers(), gnus_own(), other_gnu(), all_pax()].into_iter().flatten().collect();
    Kind { scripts: vec![V7, USTAR, SECONDS], writers }
}

pub fn all_gnu() -> Kind {
    let writers = [gnus_own(), other_gnu(), all_pax()].into_iter().flatten().collect();
    Kind { scripts: vec![V7, USTAR, GNU, SECONDS], writers }
}

pub fn times() -> Kind {
    let times = "touch -d @-86400 old; touch -d @9000000000 young";
    let writers = [gnus_own(), all_pax()].into_iter().flatten().collect();
    Kind { scripts: vec![V7, USTAR, GNU, TIMES, SECONDS, times], writers }
}

pub fn pax() -> Kind {
    let times = "touch -h -d @1234567890.123456789 nanoseconds link; touch -d @1.000000001 dir";
    Kind { scripts: vec![V7, USTAR, GNU, TIMES, PAX, SECONDS, times], writers: pax_writers() }
}

#[test]
fn what_v7_holds_is_one_image() {
    one_image(&v7(), &[Filter::tar2ext4]);
}

#[test]
fn what_ustar_holds_is_one_image() {
    one_image(&ustar(), &[Filter::tar2ext4]);
}

#[test]
fn what_gnu_holds_is_one_image() {
    one_image(&all_gnu(), &[Filter::tar2ext4]);
}

#[test]
fn times_before_1970_and_after_2242_are_one_image() {
    one_image(&times(), &[Filter::tar2ext4]);
}

#[test]
fn what_pax_holds_is_one_image() {
    one_image(&pax(), &[Filter::tar2ext4]);
}
