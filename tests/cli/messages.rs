//! What users read when something goes wrong: one line that says what, where, and what to do next (S4).
//!
//! A row each for what users meet: the words of the command, in a directory prepared by [`World`], and what the line
//! must say, in this order. Cut tars, damaged layers and the like have their own tests.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::registry::{Authority, DockerRegistry, Registry, Reply, any};
use crate::support::script::items;
use crate::support::stack::tar;
use crate::support::{Filter, Tmpfs, needs, needs_root, sample, scratch, shell, skopeo_push};

/// A command, the status it ends with, and the parts of its one line, in order.
type Row<'a> = (&'a str, i32, &'a [&'a str]);

/// A directory with a layout `sample`, a tar `good.tar`, things that are none, and a user's empty home.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let scratch = scratch();
        let directory = scratch.path();
        sample(directory);
        for name in ["home", "empty", "work"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        fs::write(directory.join("registries.conf"), "").unwrap();
        fs::write(directory.join("text"), "just text\n".repeat(100)).unwrap();
        fs::write(directory.join("page.html"), format!("<html>{}</html>", "404 ".repeat(200))).unwrap();
        fs::write(directory.join("files.zip"), [b"PK\x03\x04".as_slice(), &[7; 600]].concat()).unwrap();
        shell("cd \"$0\" && head -c 300000 /dev/urandom >big && tar -cf good.tar big && gzip -k good.tar && rm big")
            .arg(directory)
            .run()
            .succeeds();
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shell(&self, command: &str) -> Filter {
        let mut shell = shell(command).current_dir(self.0.path());
        for name in
            ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "TMPDIR"]
        {
            shell = shell.env_remove(name);
        }
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            shell = shell.env_remove(name);
        }
        shell.env("HOME", self.path("home")).env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"))
    }

    #[track_caller]
    fn check(&self, rows: &[Row<'_>]) {
        for (command, status, parts) in rows {
            let ran = self.shell(command).run().fails_with(*status, parts[0]).one_line();
            let mut rest = ran.stderr.as_str();
            for part in *parts {
                let at = rest
                    .find(part)
                    .unwrap_or_else(|| panic!("{part:?} is missing or stands too early\n{}", ran.report()));
                rest = &rest[at + part.len()..];
            }
            assert!(!ran.stderr.contains("os error"), "{}", ran.report());
            assert!(!self.path("x.ext4").exists(), "{command} left an image");
        }
    }
}

#[test]
fn wrong_files() {
    World::new().check(&[
        ("oci-fetch ./nosuch", 1, &["oci-fetch: ./nosuch: no such file or directory"]),
        ("oci-fetch oci:nosuch", 1, &["oci-fetch: nosuch: ", "No such file or directory"]),
        ("oci-fetch oci:sample:nosuch", 1, &["oci-fetch: oci:sample:nosuch: no such image; there is latest"]),
        ("oci-fetch ./empty", 1, &["oci-fetch: ./empty: neither an OCI image layout", "nor an overlay2 layer"]),
        ("oci-fetch ./text", 1, &["oci-fetch: ./text: ", "no tar archive"]),
        ("oci-fetch docker-archive:good.tar", 1, &["good.tar: not a docker save archive", "manifest.json"]),
        ("oci-fetch overlay2:empty", 1, &["empty: no layer of overlay2", "UpperDir"]),
        (
            "oci-fetch - </dev/null",
            1,
            &["oci-fetch: standard input: is empty", "did the program before this one fail?"],
        ),
        ("oci-fetch -d home nginx", 1, &["home: neither empty nor", "--dir can name another"]),
        ("oci-flatten nosuch", 1, &["oci-flatten: nosuch: No such file or directory"]),
        ("oci-flatten </dev/null", 1, &["oci-flatten: layer manifest: cut after 0 records", "did oci-fetch fail?"]),
        ("oci-flatten text", 1, &["oci-flatten: layer manifest: record 1: ", "what oci-fetch prints", "-n -l PATH"]),
        ("oci-flatten empty", 1, &["oci-flatten: empty: is a directory", "-n -l"]),
        ("oci-flatten -n -l nosuch", 1, &["oci-flatten: layer nosuch: ", "No such file or directory"]),
        ("oci-flatten -n -l text", 1, &["oci-flatten: layer text: at byte 0: not a tar header"]),
        ("tar2ext4 -o x.ext4 nosuch", 1, &["tar2ext4: nosuch: No such file or directory"]),
        ("tar2ext4 -o x.ext4 sample", 1, &["tar2ext4: sample: is a directory", "tar -C sample -cf - ."]),
        (
            "tar2ext4 -o x.ext4 text",
            1,
            &["tar2ext4: text: at byte 0: not a tar header, so this is no tar archive", "gzip, zstd, xz or bzip2"],
        ),
        ("tar2ext4 -o x.ext4 files.zip", 1, &["files.zip: at byte 0: ", "but a zip archive"]),
        ("tar2ext4 -o x.ext4 <page.html", 1, &["tar2ext4: at byte 0: ", "HTML", "did a download fail?"]),
        ("xz <text | tar2ext4 -o x.ext4", 1, &["tar2ext4: at byte 0: not a tar header"]),
        (
            "printf '\\004\\042\\115\\030frame' | tar2ext4 -o x.ext4",
            1,
            &["lz4 compression is not supported: pipe it through lz4 -dc"],
        ),
        ("oci-fetch oci:sample | tar2ext4 -o x.ext4", 1, &["but a layer manifest: oci-flatten makes a tar of it"]),
        (
            "false | tar2ext4 -o x.ext4",
            1,
            &["tar2ext4: at byte 0: the archive is empty", "did the program before this one fail?"],
        ),
        ("false | tar2ext4 -o x.ext4 --allow-missing-eof", 1, &["tar2ext4: at byte 0: the archive is empty"]),
        ("tar2ext4 -o empty good.tar", 1, &["tar2ext4: empty: is a directory: name a file in it"]),
        ("tar2ext4 -o no/x.ext4 good.tar", 1, &["tar2ext4: no/x.ext4: its directory does not exist"]),
        ("tar2ext4 -o /dev/null good.tar", 1, &["/dev/null: is neither a regular file nor a block device"]),
        ("tar2ext4 -o /dev/fd/1 good.tar | cat", 0, &["/dev/fd/1: is neither a regular file nor a block device"]),
    ]);
}

#[test]
fn sizes_that_are_too_small_say_what_is_enough() {
    let world = World::new();
    world.check(&[
        (
            "tar2ext4 -o x.ext4 -s 100K good.tar",
            1,
            &["x.ext4: no space: the image needs ", " bytes, its size is 102400", "--size "],
        ),
        ("tar2ext4 -o x.ext4 -N 5 good.tar", 1, &["x.ext4: no space: the image needs ", " inodes", "--inodes "]),
    ]);
    // What is advised works.
    for flag in ["--size", "--inodes"] {
        let small = if flag == "--size" { "100K" } else { "5" };
        let ran = world.shell(&format!("tar2ext4 -o x.ext4 {flag} {small} good.tar")).run().fails_with(1, flag);
        let advised =
            ran.stderr.split(&format!("({flag} ")).nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        world.shell(&format!("tar2ext4 -o y.ext4 {flag} {advised} good.tar")).run().succeeds();
    }
}

#[test]
fn wrong_usage_is_one_line_too() {
    World::new().check(&[
        (
            "oci-fetch",
            2,
            &["oci-fetch: the following required arguments were not provided: <IMAGE> (see oci-fetch --help)"],
        ),
        ("oci-flatten -n", 2, &["oci-flatten: ", "--layer <PATH> (see oci-flatten --help)"]),
        ("tar2ext4", 2, &["tar2ext4: ", "--output <FILE> (see tar2ext4 --help)"]),
        (
            "tar2ext4 -o x.ext4 --siz 1G",
            2,
            &["tar2ext4: unexpected argument '--siz' found", "'--size'", "(see tar2ext4 --help)"],
        ),
        ("tar2ext4 -o x.ext4 -s 10X", 2, &["tar2ext4: invalid value '10X' for '--size <SIZE>'", "K, M, G"]),
        ("oci-fetch NGINX", 1, &["oci-fetch: \"NGINX\" is no image reference: repository names are lower case"]),
        ("oci-fetch nginx:", 1, &["oci-fetch: \"nginx:\" is no image reference"]),
    ]);
}

#[test]
fn a_terminal_is_no_archive() {
    needs(&["script"]);
    let world = World::new();
    let on_terminal = |command: &str| world.shell(&format!("script -qec '{command}' /dev/null </dev/null")).run();
    for (command, what) in [
        ("tar2ext4 -o x.ext4", "tar2ext4: standard input is a terminal: pipe a tar into tar2ext4 or name one"),
        ("oci-flatten >/dev/null", "oci-flatten: standard input is a terminal: pipe oci-fetch into oci-flatten"),
        ("oci-flatten -n -l good.tar", "oci-flatten: standard output is a terminal: pipe the tar somewhere"),
    ] {
        let ran = on_terminal(command);
        assert_eq!(ran.status.code(), Some(2), "{}", ran.report());
        assert!(ran.text().contains(what), "{}", ran.report());
    }
}

#[test]
fn registries_and_networks() {
    let world = World::new();
    let (public, private) = (DockerRegistry::start(), DockerRegistry::start_with(Some(("ci", "secret")), None));
    let identity = Authority::new().identity(&["127.0.0.1"]);
    let encrypted = DockerRegistry::start_with(None, Some(&identity));
    skopeo_push(&world.path("sample"), &public.name("app:1"));
    let (public, private, encrypted) = (public.host(), private.host(), encrypted.host());
    let pull = |what: &str| format!("oci-fetch --retries 0 {what}");
    let wrong_password = format!("echo wrong | {}", pull(&format!("--username ci --password-stdin {private}/app")));
    world.check(&[
        (
            &pull(&format!("{public}/app:2")),
            1,
            &["/app:2: ", "404 Not Found", "MANIFEST_UNKNOWN", "check the name and the tag"],
        ),
        (&pull(&format!("{public}/nosuch")), 1, &["/nosuch:latest: ", "404 Not Found", "check the name and the tag"]),
        (
            &pull(&format!("--platform linux/s390x {public}/app:1")),
            1,
            &["no image for linux/s390x; there is ", "--platform"],
        ),
        (
            &pull(&format!("{private}/app")),
            1,
            &["no credentials for", "private image", "docker login", "--password-stdin"],
        ),
        (&wrong_password, 1, &["are refused: 401 Unauthorized", "log in again"]),
        (
            &pull(&format!("{encrypted}/app")),
            1,
            &["TLS with", "invalid peer certificate", "--ca-cert", "--tls-no-verify"],
        ),
        (
            &pull("127.0.0.1:1/app"),
            1,
            &["127.0.0.1:1/app:latest: ", "cannot connect: Connection refused", "check host, port"],
        ),
        (&pull("nosuch.invalid/app"), 1, &["the host nosuch.invalid cannot be found: ", "--offline"]),
        ("oci-fetch --offline nginx", 1, &["docker.io/library/nginx:latest: ", "fetch it once without --offline"]),
        (&pull(&format!("--ca-cert nosuch.pem {encrypted}/app")), 1, &["nosuch.pem: No such file or directory"]),
    ]);
    let cases = [
        (403, "DENIED", "you shall not pass", "docker login"),
        (429, "TOOMANYREQUESTS", "pull rate limit", "wait, or log in"),
        (503, "UNAVAILABLE", "out for lunch", "try again later"),
    ];
    for (status, code, words, advice) in cases {
        let registry = Registry::start();
        registry.when(any("/manifests/"), move |_| Reply::error(status, code, words));
        let command = pull(&registry.name("app"));
        world.check(&[(&command, 1, &[&status.to_string(), words, advice])]);
    }
}

#[test]
fn full_disks() {
    needs_root("mount a small tmpfs");
    let world = World::new();
    let registry = DockerRegistry::start();
    skopeo_push(&world.path("sample"), &registry.name("app"));
    let full = Tmpfs::at(&world.path("full"), "size=8k,mode=755");
    world.check(&[
        (
            &format!("oci-fetch -d full/store {}", registry.name("app")),
            1,
            &["full/store", "No space left on device", "--dir can name"],
        ),
        (
            "oci-flatten -n -l good.tar.gz --tmpdir full",
            1,
            &["layer good.tar.gz: spool in full: No space left", "--tmpdir or TMPDIR"],
        ),
        ("oci-flatten -n -l good.tar >full/out.tar", 1, &["writing the tar: No space left on device"]),
        (
            "tar2ext4 -o full/x.ext4 good.tar",
            1,
            &["full/x.ext4: big at byte 0: writing ", "No space left on device", "-o can name"],
        ),
    ]);
    drop(full);
}

#[test]
fn no_permission() {
    needs_root("become a user who may do little");
    needs(&["setpriv"]);
    let world = World::new();
    // The filters may stand below a directory that nobody may enter.
    let outside = tempfile::tempdir_in("/var/tmp").unwrap();
    let bin = outside.path();
    let filters = Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().unwrap();
    shell("cp \"$1/oci-fetch\" \"$1/oci-flatten\" \"$1/tar2ext4\" \"$0\" && cp -r \"$2\" \"$3\" \"$0\" && chmod 755 \"$0\" && chmod 600 \"$0/good.tar\" && mkdir \"$0/work\"")
        .arg(bin)
        .arg(filters)
        .arg(world.path("sample"))
        .arg(world.path("good.tar"))
        .run()
        .succeeds();
    let user = format!(
        "cd '{0}' && setpriv --reuid=65534 --regid=65534 --clear-groups env PATH='{0}':\"$PATH\" sh -c ",
        bin.display()
    );
    let as_user = |command: &str| format!("{user}'{command}'");
    world.check(&[
        (
            &as_user("tar2ext4 -o work/x.ext4 sample/index.json"),
            1,
            &["work/x.ext4: cannot be created: its directory cannot be written"],
        ),
        (&as_user("tar2ext4 -o /var/tmp/x.ext4 good.tar"), 1, &["good.tar: Permission denied"]),
        (&as_user("oci-flatten good.tar"), 1, &["good.tar: Permission denied"]),
        (&as_user("oci-flatten -n -l good.tar"), 1, &["layer good.tar: ", "Permission denied"]),
        (
            &as_user("oci-fetch -d work/store 127.0.0.1:1/x"),
            1,
            &["work/store: ", "Permission denied", "--dir can name another"],
        ),
    ]);
}

#[test]
fn an_acl_of_names_says_how_to_keep_the_ids() {
    needs(&["setfacl", "tar"]);
    let world = World::new();
    shell("cd \"$0\" && touch f && setfacl -m u:daemon:r f && tar --acls -cf acl.tar f")
        .arg(world.0.path())
        .run()
        .succeeds();
    world.check(&[(
        "tar2ext4 -o x.ext4 acl.tar",
        1,
        &["acl.tar: f at byte ", "user:daemon:r--", "--xattrs-include='*'"],
    )]);
}

/// Each attribute of each member is left out with a warning: a small archive must not fill a disk with them (S5).
#[test]
fn warnings_of_a_kind_are_counted_after_the_first_ten() {
    let scratch = scratch();
    let (image, archive) = (scratch.path().join("image"), scratch.path().join("archive"));
    for (files, lines) in [(3, 3), (10, 10), (500, 11)] {
        let text: String = (0..files).map(|file| format!("file f{file} com.apple.q=\"v\"\n")).collect();
        fs::write(&archive, tar(&items(&text))).unwrap();
        let ran = Filter::tar2ext4().arg("-o").arg(&image).arg(&archive).run().succeeds();
        assert_eq!(ran.stderr.lines().count(), lines, "{}", ran.report());
        assert!(ran.stderr.lines().all(|line| line.starts_with("tar2ext4: warning: ")), "{}", ran.report());
        if files == 500 {
            ran.says("tar2ext4: warning: and 490 more like this one: f9 at byte ");
        }
        let quiet = Filter::tar2ext4().arg("-q").arg("-o").arg(&image).arg(&archive).run().succeeds();
        quiet.quiet();
    }
}

#[test]
fn every_filter_tells_how_it_goes_on_when_asked() {
    let scratch = scratch();
    let archive = scratch.path().join("archive");
    fs::write(&archive, tar(&items("file a"))).unwrap();
    let pack = || Filter::tar2ext4().arg("-o").arg(scratch.path().join("image")).arg(&archive);
    let flatten = || Filter::oci_flatten().args(["-n", "-l"]).arg(&archive);
    pack().arg("-v").run().succeeds().says(" inodes in ");
    flatten().arg("-v").run().succeeds().says("entries");
    for wanted in ["info", "oci2ext4=info", "off,tar2ext4=debug", "debug"] {
        let ran = pack().env("RUST_LOG", wanted).run().succeeds();
        assert_eq!(ran.stderr.contains(" inodes in "), wanted != "off,tar2ext4=debug", "{}", ran.report());
    }
    pack().env("RUST_LOG", "info").arg("-q").run().succeeds().quiet();
    flatten().env("RUST_LOG", "info").run().succeeds().says("entries");
    pack().run().succeeds().quiet();
}
