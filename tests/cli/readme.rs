//! Every command of README.md runs as it stands there.
//!
//! The ```` ```sh ```` blocks run in the order of the README, in one directory, by `sh -e`, the filters first on the path.
//! What stands in for the world, so that no command need be changed:
//!
//! - `registries.conf` says where registries are: `docker.io` is a docker-registry on loopback that holds the sample image
//!   as `nginx` and `alpine`, `registry.example.com` another one, for the account `ci` alone.
//! - The files that a recipe takes for granted (`token`, `modules.tar.zst`, ...) are made before.
//! - Programs that cannot run here have stand-ins on the path, which check how they are called: [`STAND_INS`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::registry::{DockerRegistry, base64};
use crate::support::{
    Filter, LoopMount, debian, debugfs, dumpe2fs, e2fsck_clean, needs, needs_root, repository, sample, scratch, shell,
    tool,
};

/// Blocks that run elsewhere, by their first line, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "make demo      # builds",
        "`make check` is what runs this; CI runs it, and tests/demo/run is `make demo` without the build",
    ),
    ("sudo apt install ./oci2ext4_", "dist.rs runs it in a fresh Debian, with the packages of `make dist`"),
    ("sudo tar -xzf oci2ext4-", "dist.rs runs it, with the archives of `make dist`"),
    ("cargo install --path . --locked\n", "install.rs runs it, below a root of its own"),
    ("skopeo copy --all oci-archive:oci2ext4-", "dist.rs runs it, to a registry on loopback"),
    (
        "make && sudo make install",
        "install.rs runs `make install`, `make static` and `cargo install`, dist.rs `make dist`",
    ),
    ("mkdir -p job ", "needs the filters of `make dist`: readme_cluster.rs, in make check-full"),
    ("qemu-system-x86_64 ", "needs a kernel: the_virtual_machine_of_the_readme_runs_its_init, in make check-full"),
    ("mkdir -p initrd/bin ", "needs a kernel's modules: readme_boot.rs, in make check-full"),
    ("cat > initrd/init ", "needs a kernel: an_overlay_of_base_and_upper_is_the_root_of_a_guest, in make check-full"),
    ("cp verity.table initrd/", "needs a kernel: a_guest_reads_its_root_through_verity, in make check-full"),
];

/// What stands in the text itself and begins as a command does: where it runs, or why it does not.
const IN_THE_TEXT: &[(&str, &str)] = &[
    ("resize2fs /dev/vdb", "tar2ext4_guest.rs: resize2fs_grows_by_four_while_mounted"),
    ("make -jN", "every_command_runs_as_written, with 2 for N"),
    ("make static", "install.rs"),
    ("make dist", "dist.rs"),
    ("cargo doc --open", "`make check` makes the same pages, and opens none"),
    ("make bench", "measures, and judges nothing"),
    ("tests/bench/run target/release --limits --rows '*/debian*,latency/*'", "measures"),
    ("docker info -f '{{.Driver}}'", "asks a daemon, where there is one"),
    ("docker login", "a command of another tool, of which its result is read: fetch/auth.rs"),
    ("podman login", "likewise"),
    ("umoci unpack --rootless", "what another tool does"),
    ("e2fsck -fn", "what every test runs"),
    ("brew install e2fsprogs", "on macOS alone: tests/setup runs it there"),
    ("set -o pipefail", "an option of the shell, and not of every one"),
    ("count = 8", "a line of Nomad's, that has no command"),
    ("JOBS = \"8\"", "likewise"),
    ("JOB_COMPLETION_INDEX = \"${NOMAD_ALLOC_INDEX}\"", "likewise"),
];

/// Programs that cannot run in a test: Docker and Firecracker need a daemon and KVM, mmdebstrap a mirror of Debian.
const STAND_INS: &[(&str, &str)] = &[
    (
        "docker",
        r#"#!/bin/sh
case "$*" in
    'save app') exec cat "$WORLD/app.tar" ;;
    'export my-container') exec tar -C "$WORLD/overlay2/base/diff" -cf - . ;;
    'inspect -f {{.GraphDriver.Data.UpperDir}} my-container') echo "$WORLD/overlay2/top/diff" ;;
    *) echo "docker: $*?" >&2; exit 64 ;;
esac
"#,
    ),
    (
        "firecracker",
        r#"#!/bin/sh
case "$*" in
    '--no-api --config-file vm.json') root=true ;;
    '--no-api --config-file verity.json') root=false ;; # firecracker itself says root=/dev/vda where it is one
    *) echo "firecracker: $*?" >&2; exit 64 ;;
esac
disk=$(jq -er ".drives[0] | select(.is_root_device == $root).path_on_host" "$3")
e2fsck -fn "$disk" >/dev/null 2>&1 || exit 65
jq -er '."boot-source".boot_args' "$3" >"$WORLD/$3.boot-args"
"#,
    ),
    // Debian 12 has erofs-utils 1.5; 1.7 was the first to read a tar. Where the machine's can it does; else the tar is kept,
    // to be looked at.
    (
        "mkfs.erofs",
        r#"#!/bin/sh
[ "$*" = '--quiet --tar=f rootfs.erofs' ] || { echo "mkfs.erofs: $*?" >&2; exit 64; }
PATH=${PATH#"$WORLD/bin:"}
if mkfs.erofs --help 2>&1 | grep -q -e --tar; then
    mkfs.erofs "$@" && fsck.erofs rootfs.erofs >/dev/null && exec fsck.erofs --extract="$WORLD/erofs" rootfs.erofs >/dev/null
fi
mkdir "$WORLD/erofs" && exec tar -xf - -C "$WORLD/erofs"
"#,
    ),
    (
        "mmdebstrap",
        r#"#!/bin/sh
[ "$*" = 'bookworm -' ] || { echo "mmdebstrap: $*?" >&2; exit 64; }
exec tar -C "$WORLD/debian" -cf - .
"#,
    ),
];

/// The README's blocks of this language, in order.
pub(super) fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let fence = format!("```{language}\n");
    let parts = readme.split(&fence).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

/// The one block that begins so: for the tests that run it elsewhere.
#[track_caller]
pub fn block(start: &str) -> String {
    let found: Vec<String> = blocks("sh").into_iter().filter(|block| block.starts_with(start)).collect();
    <[String; 1]>::try_from(found)
        .unwrap_or_else(|found| panic!("not one block starts with {start:?}: {found:?}"))
        .concat()
}

fn elsewhere(block: &str) -> bool {
    ELSEWHERE.iter().any(|(start, _)| block.starts_with(start))
}

/// A directory to work in, and all that stands around it.
pub(super) struct World {
    scratch: tempfile::TempDir,
    _registries: [DockerRegistry; 2],
}

impl World {
    /// `nginx` and the other images are this layout.
    pub(super) fn with(layout: &Path, directory: tempfile::TempDir) -> Self {
        needs(&["docker-registry", "jq", "make", "qemu-img", "resize2fs", "sfdisk", "skopeo", "tar", "zstd"]);
        needs(&["busybox", "debugfs", "mkfs.erofs", "tar2sqfs", "unsquashfs"]);
        let path = |name: &str| directory.path().join(name);
        let (public, private) = (DockerRegistry::start(), DockerRegistry::start_with(Some(("ci", "secret")), None));
        let push = |name: &str, creds: &[&str]| {
            let (from, to) = (format!("oci:{}:latest", layout.display()), format!("docker://{name}"));
            let flags = ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"];
            tool("skopeo", flags.iter().chain(creds).copied().chain([from.as_str(), to.as_str()]));
        };
        for image in ["library/nginx", "library/alpine"] {
            push(&public.name(image), &[]);
        }
        push(&private.name("team/app:1"), &["--dest-creds", "ci:secret"]);
        let conf = format!(
            "[[registry]]\nprefix = 'docker.io'\nlocation = '{}'\n[[registry]]\nprefix = 'registry.example.com'\nlocation = '{}'\n",
            public.host(),
            private.host()
        );
        fs::write(path("registries.conf"), conf).unwrap();
        for name in [
            "bin",
            "home",
            "work/build",
            "work/etc-overlay",
            "overlay2/top/diff/etc",
            "overlay2/base/diff/etc",
            "overlay2/l",
        ] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let script = |name: &str, text: &str| {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        for (name, text) in STAND_INS {
            script(&format!("bin/{name}"), text);
        }
        fs::write(path("work/etc-overlay/motd"), "stacked\n").unwrap();
        shell(
            "cd \"$0\" && mkdir m && echo module >m/x.ko && tar -C m -cf - . | zstd -q -o modules.tar.zst && rm -r m",
        )
        .arg(path("work"))
        .run()
        .succeeds();
        fs::write(path("work/token"), "secret\n").unwrap();
        let auth = json!({"auths": {private.host(): {"auth": base64(b"ci:secret")},
                                    "registry.example.com": {"auth": base64(b"ci:secret")}}});
        fs::write(path("work/auth.json"), auth.to_string()).unwrap();
        // overlay2 as Docker leaves it: a container's layer on an image's.
        fs::write(path("overlay2/base/diff/etc/hostname"), "from the image\n").unwrap();
        fs::write(path("overlay2/top/diff/etc/motd"), "from the container\n").unwrap();
        fs::write(path("overlay2/top/lower"), "l/BASE").unwrap();
        std::os::unix::fs::symlink("../base/diff", path("overlay2/l/BASE")).unwrap();
        let save = format!("docker-archive:{}:app:latest", path("app.tar").display());
        tool("skopeo", ["copy", "--quiet", "--insecure-policy", &format!("oci:{}:latest", layout.display()), &save]);
        Self { scratch: directory, _registries: [public, private] }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A shell in the work directory that knows this world and nothing of the machine's own configuration.
    pub(super) fn shell(&self, script: &str) -> Filter {
        let script = format!("PATH=\"$WORLD/bin:$PATH\"; export PATH\n{script}");
        let mut shell = shell(&script).current_dir(self.path("work")).env("WORLD", self.path(""));
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"] {
            shell = shell.env_remove(name);
        }
        shell.env("HOME", self.path("home")).env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"))
    }
}

#[test]
fn every_command_runs_as_written() {
    needs_root("look into what was built");
    let directory = scratch();
    let layout = sample(directory.path());
    let world = World::with(&layout, directory);
    std::os::unix::fs::symlink(debian().unpacked, world.path("debian")).unwrap();
    let makefile = blocks("make").concat();
    fs::write(world.path("work/Makefile"), makefile).unwrap();
    for name in ["web", "db", "cache"] {
        fs::write(world.path(&format!("work/{name}.image")), "docker.io/library/nginx\n").unwrap();
    }
    for block in blocks("sh").iter().filter(|block| !elsewhere(block)) {
        // The second of three jobs, where a block asks.
        let ran = world.shell(&format!("set -e\n{block}")).env("JOBS", "3").env("JOB_COMPLETION_INDEX", "1");
        let ran = ran.run().succeeds();
        let complaint =
            ran.stderr.lines().find(|line| !(line.starts_with("e2fsck 1.") || line.starts_with("resize2fs 1.")));
        assert_eq!(complaint, None, "{block}\n{}", ran.report());
        if block.contains("qemu-img convert") {
            other_formats_are_whole(&world); // at once: later recipes make another rootfs.ext4
        }
    }

    let boot_args = fs::read_to_string(world.path("vm.json.boot-args")).unwrap();
    let expected = "console=ttyS0 reboot=k panic=1 root=/dev/vda rw init=/sbin/my-init\n";
    assert_eq!(boot_args, expected);
    // What no kernel here can be told, as no distribution's has it built in: the line that the virtual machine below uses.
    let boot_args = fs::read_to_string(world.path("verity.json.boot-args")).unwrap();
    let table = fs::read_to_string(world.path("work/verity.table")).unwrap();
    let expected = "console=ttyS0 reboot=k panic=1 init=/sbin/my-init root=/dev/dm-0 ro dm-mod.create=\"root,,,ro,";
    assert_eq!(boot_args, format!("{expected}{}\"\n", table.trim_end()));
    assert!(boot_args.len() < 2048, "what a kernel takes");
    let values = fs::read_to_string(world.path("work/overlay/sbin/my-init.conf")).unwrap();
    assert_eq!(values, "user='' dir='/srv/www'\nset -- 'PATH=/usr/bin:/bin' '/usr/bin/serve'\n");
    let work = |name: &str| world.path(&format!("work/{name}"));
    for disk in ["rootfs", "debian", "one", "app", "exported", "container", "cache", "base", "nginx", "writes"] {
        e2fsck_clean(work(&format!("{disk}.ext4")));
    }
    assert_eq!(fs::metadata(work("debian.ext4")).unwrap().len(), 8 << 30, "it was grown");
    assert!(debugfs(work("debian.ext4"), "stats").contains("2097152"), "the file system too: blocks of 4 KiB");
    let built = ["web", "db", "cache"].map(|name| work(&format!("{name}.ext4")).exists());
    assert_eq!(built.iter().filter(|built| **built).count(), 1, "a third of the images is this job's");
    let again = world.shell("make -j2").run().succeeds().quiet();
    assert_eq!(again.text().matches("oci-flatten").count(), 2, "the others alone: {}", again.report());
    world.shell("make").run().succeeds().quiet().stdout_is("");
    let decoded = fs::read_dir(work("decoded")).unwrap();
    assert!(decoded.count() > 0, "the next build finds the layers decoded");
    let mount = LoopMount::read_only(work("container.ext4"));
    assert_eq!(fs::read_to_string(mount.path().join("etc/motd")).unwrap(), "from the container\n");
    assert_eq!(fs::read_to_string(mount.path().join("etc/hostname")).unwrap(), "from the image\n");
}

#[test]
fn no_command_escapes_the_test() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let sh = blocks("sh");
    for (start, reason) in ELSEWHERE {
        assert!(
            sh.iter().any(|block| block.starts_with(start)),
            "no block starts with {start:?}; it ran elsewhere: {reason}"
        );
    }
    let prose: Vec<&str> = readme.split("```").step_by(2).collect();
    let prose = prose.concat().replace('\n', " ");
    let words: Vec<&str> = prose.split('`').skip(1).step_by(2).collect();
    let known = |words: &str| IN_THE_TEXT.iter().any(|(known, _)| *known == words);
    let unknown: Vec<_> =
        words.iter().filter(|words| words.contains(' ') && !words.starts_with('-') && !known(words)).collect();
    assert!(unknown.is_empty(), "who runs these? {unknown:?}");
    let gone: Vec<_> = IN_THE_TEXT.iter().filter(|(known, _)| !words.contains(known)).collect();
    assert!(gone.is_empty(), "no longer in the text: {gone:?}");
    // sh and make run here, yaml in readme_cluster.rs; everything else that looks like code would go untested.
    let mut fenced = false;
    for line in readme.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fenced = !fenced;
            let known = ["sh", "make", "yaml"].contains(&language);
            assert_eq!(fenced, !language.is_empty(), "{line}");
            assert!(!fenced || known, "a block of {language:?}: who runs it?");
        }
        assert!(
            fenced || !line.starts_with("    ") || line.trim_start().starts_with(['-', '*']),
            "indented code: {line}"
        );
    }
}

/// What the recipes of other formats make is what their own tools, and e2fsck, take for whole.
fn other_formats_are_whole(world: &World) {
    let script = r#"
        set -ex
        unsquashfs -d "$WORLD/squashfs" rootfs.sqfs >/dev/null
        mkdir "$WORLD/flat" && oci-flatten -q nginx.layers | tar -xf - -C "$WORLD/flat"
        list() {
            (cd "$1" && find . ! -type d -printf '%p %y %m %U:%G %s %l\n' -o -printf '%p %y %m %U:%G\n' | sort &&
                find . -type f -exec sha256sum {} + | sort) >"$1.list"
        }
        for tree in flat squashfs erofs; do list "$WORLD/$tree"; done
        test "$(wc -l <"$WORLD/flat.list")" -gt 10
        diff "$WORLD/flat.list" "$WORLD/squashfs.list"
        diff "$WORLD/flat.list" "$WORLD/erofs.list"
        qemu-img check -q rootfs.qcow2
        qemu-img compare -q -f raw -F qcow2 rootfs.ext4 rootfs.qcow2
        qemu-img compare -q -f raw -F vpc rootfs.ext4 rootfs.vhd
        test "$(sfdisk --json disk.img | jq -c '.partitiontable | [.label, .partitions[0].start, .partitions[0].size]')" \
            = '["gpt",2048,2093056]'
        sfdisk --verify disk.img | grep -q 'No errors detected'
        dd if=disk.img of=partition.ext4 bs=1M skip=1 count=1022 conv=sparse status=none
    "#;
    world.shell(script).run().succeeds();
    e2fsck_clean(world.path("work/partition.ext4"));
    assert!(dumpe2fs(world.path("work/partition.ext4")).contains("has_journal"));
    let own = fs::metadata(world.path("work/rootfs.ext4")).unwrap().len();
    assert_eq!(fs::metadata(world.path("work/rootfs.vhd")).unwrap().len(), own + 512, "the disk and its footer");
}
