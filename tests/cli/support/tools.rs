//! What a test needs from the machine, said loudly when it is not there.

use std::path::{Path, PathBuf};

/// The Debian package that brings each tool, where the names differ.
const PACKAGES: &[(&str, &str)] = &[
    ("blockdev", "util-linux"),
    ("bsdtar", "libarchive-tools"),
    ("busybox", "busybox-static"),
    ("chattr", "e2fsprogs"),
    ("chroot", "coreutils"),
    ("debugfs", "e2fsprogs"),
    ("docker-registry", "docker-registry"),
    ("dumpe2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("fallocate", "util-linux"),
    ("filefrag", "e2fsprogs"),
    ("getfacl", "acl"),
    ("getfattr", "attr"),
    ("htpasswd", "apache2-utils"),
    ("lsattr", "e2fsprogs"),
    ("ldd", "libc-bin"),
    ("losetup", "mount"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("prlimit", "util-linux"),
    ("qemu-aarch64", "qemu-user"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("resize2fs", "e2fsprogs"),
    ("script", "bsdutils"),
    ("setcap", "libcap2-bin"),
    ("setfacl", "acl"),
    ("setfattr", "attr"),
    ("setpriv", "util-linux"),
    ("tune2fs", "e2fsprogs"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
];

/// Fails the test when one of `tools` is not on the path, naming the Debian packages that bring them.
pub fn needs(tools: &[&str]) {
    let mut packages: Vec<&str> = Vec::new();
    for tool in tools.iter().filter(|tool| find(tool).is_none()) {
        let package = PACKAGES.iter().find(|(name, _)| name == tool).map_or(*tool, |(_, package)| package);
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    assert!(
        packages.is_empty(),
        "this test needs {tools:?}; install what is missing: apt-get install {} (or run tests/setup)",
        packages.join(" ")
    );
}

/// Fails the test when it does not run as root.
pub fn needs_root(why: &str) {
    assert!(rustix::process::geteuid().is_root(), "this test needs root to {why}: run `make check` as root");
}

/// Where `tool` stands: `$PATH`, then the directories that a user's path may lack: the system's, and where Homebrew keeps
/// e2fsprogs.
pub fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .chain(["/opt/homebrew", "/usr/local"].map(|prefix| Path::new(prefix).join("opt/e2fsprogs/sbin")))
        .map(|directory| directory.join(tool))
        .find(|candidate| candidate.is_file())
}

/// A directory of its own for one test, removed when the guard is dropped.
///
/// It stands under the target directory, not under `/tmp`: images are large, and `/tmp` may be memory or may
/// not hold trusted xattrs.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("test-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("scratch directory")
}

/// Where costly inputs are kept between runs. `make clean` removes it with the target directory.
pub fn test_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-cache")
}

/// The root of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
