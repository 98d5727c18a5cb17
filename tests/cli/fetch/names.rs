//! What people type for an image and mean something else by than a registry's repository, and flags of that kind.

use std::fs;
use std::path::Path;

use crate::support::registry::{
    Artifact, Image, Index, Layer, Puller, Registry, docker_archive, oci_archive, oci_layout,
};
use crate::support::{Filter, Ran, needs, scratch, shell};

fn in_directory(directory: &Path, words: &[&str]) -> Ran {
    Filter::oci_fetch().current_dir(directory).env("HOME", directory).args(words).run()
}

#[test]
fn other_tools_transports_say_what_to_type() {
    let scratch = scratch();
    for (name, instead) in [
        ("docker-daemon:nginx:latest", "docker save nginx:latest | oci-fetch -"),
        ("containers-storage:localhost/app", "podman save localhost/app | oci-fetch -"),
        ("dir:/some/where", "skopeo copy dir:/some/where oci:image && oci-fetch oci:image"),
        ("dir:latest", "skopeo copy dir:latest oci:image"),
        ("sif:image.sif", "skopeo copy sif:image.sif oci:image"),
        ("oci-dir:some/where", "oci-fetch oci:some/where"),
        ("docker-image://alpine:3.20", "oci-fetch alpine:3.20"),
        ("https://registry.test/app", "oci-fetch registry.test/app"),
    ] {
        let ran = in_directory(scratch.path(), &["--retries", "0", name]);
        let ran = ran.fails_with(1, &format!("oci-fetch: {name}: ")).one_line().says(instead);
        assert!(ran.stdout.is_empty() && !scratch.path().join(".cache").exists(), "{}", ran.report());
    }
}

#[test]
fn what_lies_here_is_not_looked_for_elsewhere() {
    let scratch = scratch();
    let directory = scratch.path();
    let image = Image::small("here");
    fs::write(directory.join("oci.tar"), oci_archive(&[("one", &image)])).unwrap();
    fs::create_dir(directory.join("sub")).unwrap();
    fs::write(directory.join("sub/image"), "").unwrap();
    oci_layout(&directory.join("layout"), &[("latest", &image)]);
    for name in ["oci.tar", "oci.tar:one", "sub/image", "layout"] {
        let ran = in_directory(directory, &["--retries", "0", name]);
        let ran = ran.fails_with(1, &format!("oci-fetch: {name}: is here too: ./{name} reads it")).one_line();
        drop(ran.says(&format!("docker://{name} fetches")));
    }
    for name in ["./oci.tar", "./oci.tar:one", "./layout"] {
        let ran = in_directory(directory, &["-d", "store", name]).succeeds();
        assert!(ran.text().ends_with("{\"type\":\"end\"}\n"), "{}", ran.report());
    }
    // A directory that is no image may be called as an image is.
    let registry = Registry::start();
    registry.push("sub", "latest", &image);
    let name = registry.name("sub");
    fs::create_dir_all(directory.join(name.split('/').next().unwrap()).join("sub")).unwrap();
    in_directory(directory, &["-d", "store", &name]).succeeds();
}

#[test]
fn an_archive_comes_from_no_terminal() {
    needs(&["script"]);
    let scratch = scratch();
    for name in ["-", "docker-archive:-", "docker-archive:-:name", "oci-archive:-:tag"] {
        let command = format!("script -qec 'oci-fetch {name} >/dev/null' /dev/null </dev/null");
        let ran = shell(&command).current_dir(scratch.path()).env("HOME", scratch.path()).run();
        assert_eq!(ran.status.code(), Some(2), "{}", ran.report());
        let what = "oci-fetch: standard input is a terminal: pipe an archive in, as in docker save app | oci-fetch -";
        assert!(ran.text().contains(what), "{}", ran.report());
    }
}

#[test]
fn several_images_of_an_archive_are_listed_and_named() {
    let puller = Puller::new();
    let (one, two) = (Image::small("one"), Image::small("two"));
    let docker = docker_archive(&[(&["app:one"], &one), (&["app:two"], &two)]);
    let oci = oci_archive(&[("one", &one), ("two", &two)]);
    for (kind, tag, archive) in [("docker-archive", "app:two", docker), ("oci-archive", "two", oci)] {
        let pull = |name: &str| puller.pull(name).stdin(archive.clone()).run();
        let several = format!("{kind}:-: several images, so name one behind a colon: ");
        pull("-").fails(&[&several, "one", tag]).says_nothing();
        let records = pull(&format!("{kind}:-:{tag}")).ran.succeeds();
        assert!(records.text().contains(&two.layers[0].diff_id), "{}", records.report());
    }
}

/// `docker save --platform` and sparse copies: the index names images that did not come along.
#[test]
fn an_archive_of_another_platform_says_which() {
    let puller = Puller::new();
    let (mine, other) = (Image::small("mine"), Image::small("other").platform("linux/s390x"));
    let index = Index::of([&other]).dangling(mine.listed());
    let archive = puller.file("image.tar", oci_archive(&[("latest", &index)]));
    let pull = || puller.pull(&archive);
    pull()
        .run()
        .fails(&["no image for linux/", "there is linux/s390x", "--platform takes one of these"])
        .says_nothing();
    pull().args(["--platform", "linux/s390x"]).run().gets_exactly(&other);
    pull().args(["--platform", "s390x"]).run().gets_exactly(&other);
    // Where nothing came along, what is missing is named.
    let archive = puller.file("none.tar", oci_archive(&[("latest", &Index::of([]).dangling(mine.listed()))]));
    puller.pull(&archive).run().fails(&[&mine.root().digest, "not there"]).says_nothing();
}

#[test]
fn an_architecture_alone_is_linux_on_it() {
    let registry = Registry::start();
    let images = ["linux/arm64", "linux/arm/v7", "linux/riscv64"].map(|p| Image::small(p).platform(p));
    registry.push("demo", "latest", &Index::of(&images));
    for (platform, image) in [("arm64", 0), ("aarch64", 0), ("arm", 1), ("arm/v7", 1), ("RISCV64", 2)] {
        let puller = Puller::new();
        puller.pull(registry.name("demo")).args(["--platform", platform]).run().gets_exactly(&images[image]);
    }
    let ran = Filter::oci_fetch().args(["--platform", "armada", "nginx"]).run();
    drop(ran.fails_with(2, "is no platform").says("arm64 for linux/arm64"));
}

#[test]
fn what_is_no_archive_is_called_by_its_name_however_short() {
    let puller = Puller::new();
    let gzip = Layer::gzip(b"PK\x03\x04 and so on").bytes;
    for (bytes, what) in [
        (&[b"PK\x03\x04".as_slice(), &[7; 151]].concat()[..], "a zip archive"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "a zip archive"),
        (&gzip, "a zip archive"),
        (b"<html>gone</html>", "HTML"),
        (b"{\"a\":1}", "JSON"),
        (b"!<arch>\n", "an ar archive"),
    ] {
        let file = puller.file("file", bytes);
        puller.pull(&file).run().fails(&["file", "no tar archive", what]).says_nothing();
        let disk = puller.path("disk.ext4");
        Filter::tar2ext4().arg("-o").arg(&disk).arg(&file).run().fails_with(1, what).one_line();
        assert!(!disk.exists());
    }
    let file = puller.file("file", "ustar?");
    puller.pull(&file).run().fails(&["file", "cut"]).says_nothing();
}

#[test]
fn tips_do_not_mislead() {
    for (filter, flag) in [(Filter::tar2ext4(), "-b"), (Filter::oci_fetch(), "-b"), (Filter::oci_flatten(), "-b")] {
        let ran = filter.args([flag, "4096", "-o", "x"]).run();
        let ran = ran.fails_with(2, &format!("unexpected argument '{flag}' found (see ")).one_line();
        assert!(!ran.stderr.contains("tip:") && !ran.stderr.contains("--  -b"), "{}", ran.report());
    }
    // Tips that name a flag which is meant are good ones.
    let ran = Filter::oci_fetch().args(["--platfrom", "linux/arm64", "nginx"]).run();
    drop(ran.fails_with(2, "--platform"));
}

#[test]
fn completions_are_no_secret() {
    for filter in ["oci-fetch", "oci-flatten", "tar2ext4"] {
        assert!(shell(&format!("{filter} --help")).run().succeeds().text().contains("--completions <SHELL>"));
        let script = shell(&format!("{filter} --completions=bash")).run().succeeds().stdout;
        assert!(script == shell(&format!("{filter} --completions bash")).run().succeeds().stdout);
        shell(&format!("{filter} --completions tcsh"))
            .run()
            .fails_with(2, "bash, elvish, fish, powershell, zsh")
            .one_line();
        shell(&format!("{filter} --completions bash more")).run().fails_with(2, "goes alone").one_line();
    }
}
