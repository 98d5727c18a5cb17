//! What `-l` stacks does no harm to the image below it (F16).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::script::items;
use crate::support::stack::{self, Manifest};
use crate::support::{
    Compression, Filter, Ran, assert_bytes, assert_text, e2fsck_clean, members, needs, needs_root, scratch, shell,
};

/// A system as Debian's: its programs are in /usr, and the old places are symlinks.
const MERGED: &str = "
    dir . 0755 0:0 @5
    symlink bin -> usr/bin
    dir etc 0755 0:0 @5
    file etc/hostname \"debian\"
    dir home/user 0700 1000:1000 @5
    symlink lib -> usr/lib
    symlink sbin -> usr/sbin
    dir usr 0755 0:0 @5
    dir usr/bin 0755 0:0 @5
    file usr/bin/sh 0755
    dir usr/lib 0755 0:0 @5
    dir usr/lib/modules 0755 0:0 @5
    file usr/lib/libc.so.6
    dir usr/sbin 0755 0:0 @5
    file usr/sbin/init 0755
    symlink var/run -> /run
    dir run 0755 0:0 @5";

/// The image as a layer manifest in `dir`.
fn image(dir: &Path) -> String {
    let mut manifest = Manifest::default();
    let tar = stack::tar(&items(MERGED));
    let blob = stack::compress(&tar, Compression::Gzip);
    manifest.blob(dir.join("layer"), &blob, &tar, serde_json::json!({}));
    manifest.text()
}

/// The lines of [`members`] that `wanted` names, whatever the types.
fn lines(tar: &[u8], wanted: &[&str]) -> String {
    let is_wanted = |line: &&str| line.split(' ').nth(1).is_some_and(|name| wanted.contains(&name));
    members(tar).lines().filter(is_wanted).map(|line| format!("{line}\n")).collect()
}

fn flatten<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> Ran {
    Filter::oci_flatten().args(args).stdin(image(dir)).run()
}

/// What a person puts on top: an init, a kernel module, a name in /etc; private, as a umask of 077 makes them.
fn overlay(root: &Path) {
    for (name, mode) in
        [("sbin/my-init", 0o755), ("lib/modules/6.1/x.ko", 0o600), ("etc/motd", 0o644), ("var/run/id", 0o644)]
    {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let directories = ["", "sbin", "lib", "lib/modules", "lib/modules/6.1", "etc", "var", "var/run"];
    for name in directories {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// The image below, as it was, and what is new above.
const STACKED: &str = "\
5 ./ 0755 0:0 @5
2 bin -> usr/bin 0777 0:0 @0
5 etc/ 0755 0:0 @5
0 etc/hostname 0644 0:0 @0 6
2 lib -> usr/lib 0777 0:0 @0
5 run/ 0755 0:0 @5
2 sbin -> usr/sbin 0777 0:0 @0
5 usr/ 0755 0:0 @5
5 usr/lib/ 0755 0:0 @5
5 usr/lib/modules/ 0755 0:0 @5
5 usr/sbin/ 0755 0:0 @5
0 usr/sbin/init 0755 0:0 @0 0
2 var/run -> /run 0777 0:0 @0
";
const OLD: &[&str] = &[
    "./",
    "bin",
    "etc/",
    "etc/hostname",
    "lib",
    "run/",
    "sbin",
    "usr/",
    "usr/lib/",
    "usr/lib/modules/",
    "usr/sbin/",
    "usr/sbin/init",
    "var/run",
];
const NEW: &[&str] = &["etc/motd", "run/id", "usr/lib/modules/6.1/", "usr/lib/modules/6.1/x.ko", "usr/sbin/my-init"];

#[test]
fn a_directory_on_a_merged_system_keeps_its_symlinks_and_attributes() {
    needs_root("give files owners");
    let scratch = scratch();
    let root = scratch.path().join("overlay");
    overlay(&root);
    std::os::unix::fs::chown(root.join("etc/motd"), Some(7), Some(8)).unwrap();
    let stacked = flatten(scratch.path(), [OsStr::new("-l"), root.as_os_str()]).succeeds().quiet();
    assert_text("the image", STACKED, &lines(&stacked.stdout, OLD));
    let new = lines(&stacked.stdout, NEW);
    let attributes: Vec<&str> = new.lines().map(|line| line.split(" @").next().unwrap()).collect();
    let expected = [
        "0 etc/motd 0644 7:8",
        "0 run/id 0644 0:0",
        "5 usr/lib/modules/6.1/ 0700 0:0",
        "0 usr/lib/modules/6.1/x.ko 0600 0:0",
        "0 usr/sbin/my-init 0755 0:0",
    ];
    assert_eq!(attributes, expected);
    // Both programs are usable by both their names, for whoever unpacks it and in the image.
    let tar = scratch.path().join("stacked.tar");
    fs::write(&tar, &stacked.stdout).unwrap();
    let unpack = "mkdir \"$0/root\" && tar -C \"$0/root\" -xpf \"$1\" && cd \"$0/root\" && test -x sbin/my-init \
                  && test -x sbin/init && test -x usr/sbin/my-init && test -x usr/sbin/init && test -h sbin";
    shell(unpack).arg(scratch.path()).arg(&tar).run().succeeds().quiet();
    let image = scratch.path().join("image.ext4");
    Filter::tar2ext4().arg("-q").arg("-o").arg(&image).arg(&tar).run().succeeds().quiet();
    e2fsck_clean(&image);
    let path = Filter::tool("debugfs").args(["-R", "stat /sbin/my-init"]).arg(&image).run().succeeds();
    assert!(path.text().contains("Type: regular"), "{}", path.report());
}

#[test]
fn an_owner_for_all_that_directories_bring() {
    let scratch = scratch();
    let root = scratch.path().join("overlay");
    overlay(&root);
    let args = [OsStr::new("--owner"), OsStr::new("12:34"), OsStr::new("-l"), root.as_os_str()];
    let stacked = flatten(scratch.path(), args).succeeds().quiet();
    assert_text("the image", STACKED, &lines(&stacked.stdout, OLD));
    let new = lines(&stacked.stdout, NEW);
    assert!(new.lines().count() == NEW.len() && new.lines().all(|line| line.contains(" 12:34 ")), "{new}");
    // Not for tars, which say themselves.
    let tar = scratch.path().join("x.tar");
    fs::write(&tar, stack::tar(&items("file x 0644 5:6"))).unwrap();
    let args = [OsStr::new("--owner"), OsStr::new("12:34"), OsStr::new("-n"), OsStr::new("-l"), tar.as_os_str()];
    let alone = Filter::oci_flatten().args(args).run().succeeds();
    assert_eq!(lines(&alone.stdout, &["x"]), "0 x 0644 5:6 @0 0\n");
    let refused = flatten(scratch.path(), ["--owner", "root:root", "-l", "x"]).fails_with(2, "is no owner");
    refused.one_line();
    flatten(scratch.path(), ["--owner", "0:0"]).fails_with(2, "--layer").one_line();
}

#[test]
fn what_a_normal_user_stacks_is_root_s() {
    needs_root("become another user");
    needs(&["setpriv"]);
    let scratch = scratch();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dir = scratch.path().join("user");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("manifest"), image(&dir)).unwrap();
    fs::set_permissions(dir.join("layer"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(dir.join("manifest"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_oci-flatten"), dir.join("oci-flatten")).unwrap();
    std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
    let script = "cd \"$0\" && exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '\
                  umask 077; mkdir -p o/sbin o/etc && echo x >o/sbin/my-init && chmod 755 o/sbin/my-init && \
                  ./oci-flatten --tmpdir . -l o manifest'";
    let stacked = shell(script).arg(&dir).run().succeeds().quiet();
    assert_text("the image", STACKED, &lines(&stacked.stdout, OLD));
    let new = lines(&stacked.stdout, &["usr/sbin/my-init"]);
    assert!(new.starts_with("0 usr/sbin/my-init 0755 0:0 @"), "{new}");
}

#[test]
fn a_tar_on_a_merged_system_keeps_its_symlinks() {
    let scratch = scratch();
    let tar = scratch.path().join("modules.tar.zst");
    let modules = "
        dir lib 0755 0:0 @9
        dir lib/modules 0700 0:0 @9
        file lib/modules/x.ko
        link lib/modules/y.ko -> lib/modules/x.ko
        dir sbin/new 0711 0:0 @9
        file lib/.wh.libc.so.6";
    fs::write(&tar, stack::compress(&stack::tar(&items(modules)), Compression::Zstd)).unwrap();
    let stacked = flatten(scratch.path(), [OsStr::new("-l"), tar.as_os_str()]).succeeds().quiet();
    let names = [
        "lib",
        "sbin",
        "usr/lib/",
        "usr/lib/libc.so.6",
        "usr/lib/modules/",
        "usr/lib/modules/x.ko",
        "usr/lib/modules/y.ko",
        "usr/sbin/init",
        "usr/sbin/new/",
    ];
    let expected = "\
2 lib -> usr/lib 0777 0:0 @0
2 sbin -> usr/sbin 0777 0:0 @0
5 usr/lib/ 0755 0:0 @9
5 usr/lib/modules/ 0700 0:0 @9
0 usr/lib/modules/x.ko 0644 0:0 @0 0
1 usr/lib/modules/y.ko -> usr/lib/modules/x.ko
0 usr/sbin/init 0755 0:0 @0 0
5 usr/sbin/new/ 0711 0:0 @9
";
    assert_text("the image", expected, &lines(&stacked.stdout, &names));
    // Layers of images do replace symlinks by directories (F5).
    let mut manifest = Manifest::default();
    for (name, text) in [("0", MERGED), ("1", modules)] {
        let tar = stack::tar(&items(text));
        manifest.blob(scratch.path().join(name), &tar, &tar, serde_json::json!({}));
    }
    let layered = Filter::oci_flatten().stdin(manifest.text()).run().succeeds();
    assert!(lines(&layered.stdout, &["lib/"]).starts_with("5 lib/ 0755"), "{}", members(&layered.stdout));
}

#[test]
fn below_a_prefix() {
    let scratch = scratch();
    let tar = scratch.path().join("app.tar");
    let app = "
        dir . 0750 1:1 @9
        file run.sh 0755
        link again.sh -> run.sh
        file sub/.wh.old";
    fs::write(&tar, stack::tar(&items(app))).unwrap();
    let root = scratch.path().join("dir");
    fs::create_dir_all(root.join("modules")).unwrap();
    fs::write(root.join("modules/a"), "a").unwrap();
    fs::hard_link(root.join("modules/a"), root.join("modules/b")).unwrap();
    let with = |path: &Path, prefix: &str| format!("{}:{prefix}", path.display());
    let (tar, dir) = (with(&tar, "/opt/app"), with(&root, "/lib/"));
    let stacked = flatten(scratch.path(), ["-l", &tar, "-l", &dir, "--owner", "0:0"]).succeeds().quiet();
    let names =
        ["opt/", "opt/app/", "opt/app/run.sh", "opt/app/again.sh", "lib", "usr/lib/modules/a", "usr/lib/modules/b"];
    let found = lines(&stacked.stdout, &names);
    let attributes: Vec<&str> = found.lines().map(|line| line.split(" @").next().unwrap()).collect();
    let expected = [
        "2 lib -> usr/lib 0777 0:0",
        "5 opt/ 0755 0:0",
        "5 opt/app/ 0750 1:1",
        "0 opt/app/again.sh 0755 0:0",
        "1 opt/app/run.sh -> opt/app/again.sh",
        "0 usr/lib/modules/a 0644 0:0",
        "1 usr/lib/modules/b -> usr/lib/modules/a",
    ];
    assert_eq!(attributes, expected);
    flatten(scratch.path(), ["-l", "x:/a/../b"]).fails_with(2, "'..'").one_line();
    flatten(scratch.path(), ["-l", ":/a"]).fails_with(2, "no path").one_line();
    let climbs = scratch.path().join("climbs.tar");
    fs::write(&climbs, stack::tar(&items("file ../x"))).unwrap();
    flatten(scratch.path(), ["-l", &with(&climbs, "/opt")]).fails_with(1, "'..'").one_line();
}

#[test]
fn a_tar_on_standard_input() {
    let scratch = scratch();
    fs::write(scratch.path().join("manifest"), image(scratch.path())).unwrap();
    let manifest = scratch.path().join("manifest");
    let tar = stack::compress(&stack::tar(&items("dir sbin 0755\nfile sbin/my-init 0755")), Compression::Gzip);
    let run = |args: &[&OsStr]| Filter::oci_flatten().args(args).stdin(tar.clone()).run();
    let stacked = run(&[OsStr::new("-l"), OsStr::new("-"), manifest.as_os_str()]).succeeds().quiet();
    assert_eq!(lines(&stacked.stdout, &["sbin", "usr/sbin/my-init"]).lines().count(), 2);
    let alone = run(&[OsStr::new("-n"), OsStr::new("--layer=-:/opt")]).succeeds().quiet();
    assert_eq!(lines(&alone.stdout, &["opt/sbin/my-init"]), "0 opt/sbin/my-init 0755 0:0 @0 0\n");
    run(&[OsStr::new("-l"), OsStr::new("-")]).fails_with(2, "standard input is the layer manifest already").one_line();
    let twice = ["-n", "-l", "-", "-l", "-"].map(OsStr::new);
    run(&twice).fails_with(2, "standard input can be read once only").one_line();
    // From the middle of a file, as a shell leaves it.
    let plain = scratch.path().join("plain.tar");
    fs::write(&plain, [vec![b'x'; 512], stack::tar(&items("file f \"content\""))].concat()).unwrap();
    let script = "exec <\"$0\"; head -c 512 >/dev/null; exec oci-flatten -n -l -";
    let middle = shell(script).arg(&plain).run().succeeds();
    assert!(middle.stdout.windows(7).any(|window| window == b"content"));
}

/// Its first bytes tell how it is compressed, in a file and on standard input.
#[test]
fn a_tar_of_any_compression() {
    let scratch = scratch();
    let tar = stack::tar(&items("dir sbin 0755\nfile sbin/my-init \"content\" 0755"));
    let path = scratch.path().join("stacked");
    fs::write(&path, &tar).unwrap();
    let expected = Filter::oci_flatten().args(["-n", "-l"]).arg(&path).run().succeeds().quiet();
    for how in [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2] {
        let packed = stack::compress(&tar, how);
        fs::write(&path, &packed).unwrap();
        let file = Filter::oci_flatten().args(["-n", "-l"]).arg(&path).run().succeeds().quiet();
        let streamed = Filter::oci_flatten().args(["-n", "-l", "-"]).stdin(packed.clone()).run().succeeds().quiet();
        assert_bytes("what a layer of a file becomes", &expected.stdout, &file.stdout);
        assert_bytes("what a layer of a stream becomes", &expected.stdout, &streamed.stdout);
        // Cut anywhere, none of it is taken for whole.
        fs::write(&path, &packed[..packed.len() / 2]).unwrap();
        Filter::oci_flatten().args(["-n", "-l"]).arg(&path).run().fails_with(1, "stacked: ").one_line();
    }
}

#[test]
fn a_symlink_that_leads_to_no_directory_is_replaced() {
    let scratch = scratch();
    let root = scratch.path().join("overlay");
    fs::create_dir_all(root.join("link/sub")).unwrap();
    symlink("etc/hostname", root.join("sbin")).unwrap();
    let lower = scratch.path().join("lower.tar");
    fs::write(&lower, stack::tar(&items("symlink link -> nowhere\nsymlink sbin -> usr/sbin\ndir usr/sbin 0755")))
        .unwrap();
    let args = ["-n", "-l"].map(OsStr::new).into_iter().chain([lower.as_os_str(), OsStr::new("-l"), root.as_os_str()]);
    let stacked = Filter::oci_flatten().args(args).run().succeeds().quiet();
    let found = lines(&stacked.stdout, &["link/", "link/sub/", "sbin", "usr/sbin/"]);
    assert!(found.starts_with("5 link/ ") && found.contains("\n2 sbin -> etc/hostname "), "{found}");
}

/// `tar` and `cp` read such trees too.
#[test]
fn a_directory_may_be_deeper_than_a_path_is_long() {
    let scratch = scratch();
    let (deep, next) = (scratch.path().join("deep"), scratch.path().join("next"));
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("file"), "in").unwrap();
    for _ in 0..40 {
        fs::create_dir(&next).unwrap();
        fs::rename(&deep, next.join("n".repeat(200))).unwrap();
        fs::rename(&next, &deep).unwrap();
    }
    let ran = shell(r#"oci-flatten -n -l "$0" | tar -xO --wildcards "*/file""#).arg(&deep).run().succeeds().quiet();
    assert_eq!(ran.text(), "in");
}
