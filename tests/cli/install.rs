//! `make install` and `make uninstall`, below a DESTDIR as packagers use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Filter, Ran, Snapshot, assert_text, repository, scratch};

#[track_caller]
fn make(target: &str, destination: &Path) -> Ran {
    let filters = Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().unwrap();
    Filter::tool("make")
        .args(["--no-print-directory", "-C"])
        .arg(repository())
        .arg(target)
        .arg("PREFIX=/usr")
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("BIN={}", filters.display()))
        .run()
        .succeeds()
}

/// The files below a directory with their permissions.
pub fn files(directory: &Path) -> String {
    let paths = Snapshot::of(directory).paths();
    let files = paths.into_iter().filter_map(|path| {
        let metadata = directory.join(&path).metadata().unwrap();
        metadata.is_file().then(|| format!("{:o} {path}\n", metadata.permissions().mode() & 0o7777))
    });
    files.collect()
}

#[test]
fn everything_is_installed_and_removed_again() {
    let scratch = scratch();
    make("install", scratch.path());
    let expected = "\
755 usr/bin/oci-fetch
755 usr/bin/oci-flatten
755 usr/bin/tar2ext4
644 usr/share/bash-completion/completions/oci-fetch
644 usr/share/bash-completion/completions/oci-flatten
644 usr/share/bash-completion/completions/tar2ext4
644 usr/share/fish/vendor_completions.d/oci-fetch.fish
644 usr/share/fish/vendor_completions.d/oci-flatten.fish
644 usr/share/fish/vendor_completions.d/tar2ext4.fish
644 usr/share/man/man1/oci-fetch.1
644 usr/share/man/man1/oci-flatten.1
644 usr/share/man/man1/tar2ext4.1
644 usr/share/man/man5/layer-manifest.5
644 usr/share/zsh/site-functions/_oci-fetch
644 usr/share/zsh/site-functions/_oci-flatten
644 usr/share/zsh/site-functions/_tar2ext4
";
    assert_text("what make install makes", expected, &files(scratch.path()));
    Filter::new(scratch.path().join("usr/bin/tar2ext4")).arg("--version").run().succeeds();

    make("uninstall", scratch.path());
    assert_text("what make uninstall leaves", "", &files(scratch.path()));
}

/// Where the builds of these tests keep what they compile, beside this build's own.
fn target() -> std::path::PathBuf {
    crate::support::test_cache().with_file_name("test-install")
}

/// `cargo install --path . --locked` with these flags, below a root of its own.
#[track_caller]
fn cargo_install(root: &Path, flags: &[&str]) -> String {
    Filter::tool("cargo")
        .args(["install", "--path", ".", "--locked", "--quiet", "--debug", "--root"])
        .arg(root)
        .arg("--target-dir")
        .arg(target())
        .args(flags)
        .current_dir(repository())
        .run()
        .succeeds();
    let names = files(&root.join("bin"));
    names.lines().map(|line| line.trim_start_matches("755 ")).collect::<Vec<_>>().join(" ")
}

#[test]
#[ignore = "check-full: builds the filters twice more"]
fn cargo_installs_all_filters_or_those_without_http() {
    let scratch = scratch();
    let all = scratch.path().join("all");
    assert_eq!(cargo_install(&all, &[]), "oci-fetch oci-flatten tar2ext4");
    let some = scratch.path().join("some");
    let flags = ["--no-default-features", "--bin", "tar2ext4", "--bin", "oci-flatten"];
    assert_eq!(cargo_install(&some, &flags), "oci-flatten tar2ext4");
    Filter::new(some.join("bin/tar2ext4")).arg("--version").run().succeeds();
}

#[test]
#[ignore = "check-full: builds the filters once more"]
fn static_filters_need_no_library() {
    let scratch = scratch();
    Filter::tool("make")
        .args(["--no-print-directory", "static"])
        .env("CARGO_TARGET_DIR", target())
        .current_dir(repository())
        .run()
        .succeeds();
    let host = Filter::tool("rustc").arg("-vV").run().succeeds();
    let host = host.text().lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let built = target().join(host).join("release");
    for name in ["oci-fetch", "oci-flatten", "tar2ext4"] {
        let file = Filter::tool("file").arg("-b").arg(built.join(name)).run().succeeds();
        assert!(file.text().contains("static"), "{name}: {}", file.text());
        // It runs where there is no library at all.
        fs::create_dir_all(scratch.path().join("root")).unwrap();
        fs::copy(built.join(name), scratch.path().join("root").join(name)).unwrap();
        Filter::tool("chroot").arg(scratch.path().join("root")).arg(format!("/{name}")).arg("-V").run().succeeds();
    }
    let root = scratch.path().join("root");
    fs::write(root.join("empty.tar"), [0; 1024]).unwrap();
    Filter::tool("chroot").arg(&root).args(["/tar2ext4", "-o", "/x.ext4", "/empty.tar"]).run().succeeds().quiet();
    crate::support::e2fsck_clean(root.join("x.ext4"));
    // Names of hosts are still found: by /etc/hosts and DNS.
    let ran = Filter::new(built.join("oci-fetch")).args(["--retries", "0", "localhost:1/x"]).run();
    ran.fails_with(1, "Connection refused");
}
