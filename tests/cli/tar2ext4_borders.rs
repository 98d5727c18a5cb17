//! `tar2ext4`: content just inside ext4's limits, and just outside (E7, E8, E10).

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::support::{Filter, LoopMount, e2fsck_clean, python_tar, scratch, tool};

/// Names say what is in them: `size-N`, `link-N`, `time-SECONDS`, `attr-N` (bytes of user.a), `dev-KIND-MAJOR-MINOR`,
/// `acl-N` (named users).
const INSIDE: &str = r#"
def add(name, size=0, pax={}, **fields):
    member = tarfile.TarInfo(name)
    member.size, member.pax_headers = size, dict(pax)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(b"x" * size))
# Around 12 blocks, and beyond the longest extent.
for blocks in (1, 11, 12, 13):
    for more in (-1, 0, 1):
        add(f"size-{blocks * 4096 + more}", blocks * 4096 + more)
add(f"size-{32769 * 4096}", 32769 * 4096)
for length in (1, 58, 59, 60, 61, 1023, 4094, 4095):
    add(f"link-{length}", type=tarfile.SYMTYPE, linkname="l" * length)
for time in ("-2147483648", "-2147483647.999999999", "-1.000000001", "-0.5", "0", "0.000000001", "2147483647.999999999",
             "2147483648", "4294967295.9", "4294967296", "6442450943", "6442450944", "8589934591.5", "8589934592",
             "10737418239.999999999"):
    add(f"time-{time}", pax={"mtime": time})
# What the inode holds, and what the block holds.
for length in (0, 1, *range(60, 75), *range(4030, 4041)):
    add(f"attr-{length}", pax={"SCHILY.xattr.user.a": "v" * length})
for major, minor in ((0, 0), (0, 255), (255, 255), (256, 0), (0, 256), (255, 256), (4095, 1048575)):
    add(f"dev-c-{major}-{minor}", type=tarfile.CHRTYPE, devmajor=major, devminor=minor)
    add(f"dev-b-{major}-{minor}", type=tarfile.BLKTYPE, devmajor=major, devminor=minor)
for users in (1, 4, 100, 502):
    text = "user::rw-,group::r--,mask::r--,other::---" + "".join(f",user:{1000 + n}:r--" for n in range(users))
    add(f"acl-{users}", pax={"SCHILY.acl.access": text}, mode=0o640)
"#;

#[test]
fn what_just_fits_is_what_the_kernel_shows() {
    let scratch = scratch();
    let tar = scratch.path().join("tar");
    fs::write(&tar, python_tar(INSIDE)).unwrap();
    for flags in [&["--no-sparse"][..], &["--compat", "-J", "-m", "50"]] {
        let image = scratch.path().join("image");
        Filter::tar2ext4().arg("-o").arg(&image).args(flags).arg(&tar).run().succeeds().quiet();
        e2fsck_clean(&image);
        let mount = LoopMount::read_only(&image);
        let mut seen = 0;
        for entry in fs::read_dir(mount.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some((kind, rest)) = name.split_once('-') else { continue };
            seen += 1;
            let meta = fs::symlink_metadata(&path).unwrap();
            let count = || rest.parse::<usize>().unwrap();
            match kind {
                "size" => assert!(fs::read(&path).unwrap() == vec![b'x'; count()], "{name}"),
                "link" => assert_eq!(fs::read_link(&path).unwrap().to_str().unwrap(), "l".repeat(count())),
                "time" => {
                    let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, ""));
                    let nanos: i64 = format!("{fraction:0<9}").parse().unwrap();
                    let before = rest.starts_with('-') && nanos > 0;
                    let nanos = if before { 1_000_000_000 - nanos } else { nanos };
                    let seconds = seconds.parse::<i64>().unwrap() - i64::from(before);
                    assert_eq!((meta.mtime(), meta.mtime_nsec()), (seconds, nanos), "{name}");
                }
                "attr" => {
                    let mut value = vec![0; 5000];
                    let length = rustix::fs::getxattr(&path, "user.a", &mut value).unwrap();
                    assert!(value[..length] == vec![b'v'; count()], "{name}: {length} bytes");
                }
                "dev" => {
                    let (kind, numbers) = rest.split_once('-').unwrap();
                    let (major, minor) = numbers.split_once('-').unwrap();
                    let device = rustix::fs::makedev(major.parse().unwrap(), minor.parse().unwrap());
                    assert_eq!((meta.rdev(), meta.file_type().is_char_device()), (device, kind == "c"), "{name}");
                }
                "acl" => {
                    let shown = tool("getfacl", ["--numeric".as_ref(), "--omit-header".as_ref(), path.as_os_str()]);
                    assert_eq!(shown.text().lines().filter(|line| line.starts_with("user:")).count(), count() + 1);
                    assert!(shown.text().contains("user:1000:r--\n"), "{name}: {}", shown.text());
                }
                _ => seen -= 1,
            }
        }
        assert_eq!(seen, 13 + 8 + 15 + 28 + 14 + 4);
        mount.unmount();
    }
}

#[test]
fn what_just_does_not_fit_is_refused_by_name() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let refused = |add: &str, message: &str| {
        let tar = python_tar(&format!("member = tarfile.TarInfo('dir/bad')\n{add}\ntar.addfile(member)"));
        let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(tar).run().one_line();
        ran.fails_with(1, message).says("bad").says("at byte ");
        assert!(!image.exists());
    };
    refused("member.pax_headers = {'SCHILY.xattr.user.a': 'v' * 4041}", "attribute user.a of 4041 bytes does not fit");
    let acl = "member.pax_headers = {'SCHILY.acl.access': 'user::rw-,group::r--,mask::r--,other::---'";
    let acl = format!("{acl} + ''.join(f',user:{{n}}:r--' for n in range(600))}}");
    refused(&acl, "attribute system.posix_acl_access of");
    refused("member.type, member.linkname = tarfile.SYMTYPE, 'l' * 4096", "4096");
    refused("member.name = 'n' * 255 + 'bad'", "258");
    refused("member.type, member.devmajor = tarfile.CHRTYPE, 4096\nmember.devminor = 1", "4096");
    refused("member.type, member.devmajor = tarfile.BLKTYPE, 1\nmember.devminor = 1 << 20", "1048576");
    refused("member.pax_headers = {'uid': '4294967296'}", "4294967296");
    refused("member.name = 'a/../bad'", "..");
}
