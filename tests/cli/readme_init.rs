//! The first process that the README makes of an image's config: it is what a container would have, or says what it is not.
//!
//! What needs no machine of its own runs below a root directory with just the programs that a kind of image has.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::readme::{World, blocks};
use crate::support::{
    Compression, Filter, Layout, Ran, debian, e2fsck_clean, needs, needs_root, repository, scratch, shell, test_cache,
    tool,
};

/// The values of an image that would do harm on a kernel's command line, or in a shell that did not quote them.
fn hostile_config() -> Value {
    let mut env: Vec<String> = (0..60).map(|number| format!("VARIABLE_{number}=value {number}")).collect();
    env.extend(
        [
            "init=/bin/false",
            "root=/dev/null",
            "QUOTES=it's \"$(exit 1)\" `false` \\",
            "TEXT=one\ntwo\n",
            "EMPTY=",
            "a.b=c",
            "-c=an option?",
        ]
        .map(String::from),
    );
    json!({"Env": env, "User": "nobody:nogroup", "WorkingDir": "/usr/share", "Entrypoint": ["/bin/sh", "-c", SHOW, "two  words"],
        "Cmd": ["it's $HOME", "line\nline", "--", ""]})
}

/// What the program of [`hostile_config`] does: it tells what it sees.
const SHOW: &str = r#"printf 'guest: '; id -un; printf 'guest: '; pwd; printf 'guest: <%s>\n' "$0" "$@" "$VARIABLE_0" "$VARIABLE_59" "$init" "$root" "$QUOTES" "$TEXT" "$EMPTY"; echo guest: done"#;

/// What it must see.
const SHOWN: &str = "guest: nobody
guest: /usr/share
guest: <two  words>
guest: <it's $HOME>
guest: <line
line>
guest: <-->
guest: <>
guest: <value 0>
guest: <value 59>
guest: </bin/false>
guest: </dev/null>
guest: <it's \"$(exit 1)\" `false` \\>
guest: <one
two
>
guest: <>
guest: done
";

/// The README's block that makes the first process, and boots a machine with it.
fn recipe() -> String {
    blocks("sh").into_iter().find(|block| block.contains("firecracker --no-api")).expect("the block")
}

/// The user database of each [`Root`].
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:100:101::/srv:/sbin/nologin\nlast:x:7:8::/var/last:/bin/sh";
const GROUP: &str = "root:x:0:\nlog:x:4:other,web\nweb:x:101:\n102:x:5:\ntty:x:6:web";

/// A root directory with what an image may have to become another user with.
struct Root {
    scratch: tempfile::TempDir,
}

/// The programs that every image with a shell of this machine's kind has here, beside those that become a user.
const PROGRAMS: &[&str] = &["sh", "mount", "mkdir", "env", "true", "id", "sed", "sort"];

impl Root {
    /// Programs of this machine, each with its libraries.
    fn of(programs: &[&str]) -> Self {
        let root = Self::new();
        let script = r#"root=$0; cd / && for name; do
            file=$(find /usr/bin /usr/sbin /bin/ /sbin/ -maxdepth 1 -name "$name" | head -n 1) && cp -L --parents "$file" "$root" || exit
            ldd "$file" | grep -o '/[^ )]*' | xargs cp -L --parents -t "$root" || exit
        done"#;
        shell(script).arg(root.path()).args(PROGRAMS).args(programs).run().succeeds();
        let links =
            r#"cd "$0" && mkdir -p usr/sbin && for name in bin sbin; do test -e $name || ln -s usr/$name $name; done"#;
        shell(links).arg(root.path()).run().succeeds();
        root
    }

    /// As [`Root::of`] with su, and what it asks for permission.
    fn with_su() -> Self {
        let root = Self::of(&["su"]);
        let rules = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
        fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
        fs::write(root.path().join("etc/pam.d/su"), rules).unwrap();
        let script = r#"cd / && for name in pam_rootok pam_permit; do
            file=$(find /lib/*/security /usr/lib/*/security /lib*/security -name $name.so 2>/dev/null | head -n 1)
            cp -L --parents "$file" "$0" && ldd "$file" | grep -o '/[^ )]*' | xargs cp -L --parents -t "$0" || exit
        done"#;
        shell(script).arg(root.path()).run().succeeds();
        root
    }

    /// A static busybox, under these names.
    fn of_busybox(programs: &[&str]) -> Self {
        needs(&["busybox"]);
        let root = Self::new();
        let script = r#"cd "$0" && mkdir -p bin sbin usr/bin && cp "$(command -v busybox)" bin/busybox || exit
            for name; do ln -s /bin/busybox "bin/$name"; done; mv bin/env usr/bin/env"#;
        shell(script).arg(root.path()).args(PROGRAMS).args(programs).run().succeeds();
        root
    }

    fn new() -> Self {
        needs(&["chroot", "jq", "ldd", "unshare"]);
        needs_root("mount /proc and become another user");
        let root = Self { scratch: scratch() };
        for name in ["dev", "etc", "proc", "sys", "usr/share"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("etc/passwd"), PASSWD).unwrap();
        fs::write(root.path().join("etc/group"), GROUP).unwrap();
        root
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// What the README makes of this config, without a disk.
    fn make(&self, config: &Value) -> Ran {
        let recipe = recipe();
        let (_, rest) = recipe.split_once("oci-fetch nginx > nginx.layers\n").expect("its first line");
        let (make, _) = rest.split_once("oci-flatten ").expect("what makes the first process");
        let image = json!({"type": "image", "version": 1, "config": {"config": config}, "layers": 0});
        fs::write(self.scratch.path().join("nginx.layers"), format!("{image}\n{{\"type\":\"end\"}}\n")).unwrap();
        shell(&format!("set -e\n{make}")).current_dir(self.scratch.path()).run()
    }

    /// Starts the first process that this config gives, with the variables that the kernel gives it.
    fn start(&self, config: &Value) -> Ran {
        self.make(config).succeeds().quiet();
        let stack = r#"cp -a "$0/overlay/sbin/." "$0/root/sbin/""#;
        shell(stack).arg(self.scratch.path()).run().succeeds();
        boots(&format!("cd \"$0\" && exec {KERNEL_STARTS}"), &self.path())
    }
}

/// What the kernel does in a root directory, with the variables that it gives its first process.
const KERNEL_STARTS: &str = r#"env -i HOME=/ TERM=linux "$(command -v chroot)" . /sbin/my-init"#;

/// Runs a script with `$0`, where what it mounts is gone at its end.
fn boots(script: &str, root: &Path) -> Ran {
    let unshare = Filter::tool("unshare").args(["-m", "sh", "-c", script]).arg(root);
    unshare.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").run()
}

#[test]
fn every_value_reaches_the_program() {
    let root = Root::of(&["chroot"]);
    fs::write(root.path().join("etc/passwd"), "nobody:x:65534:65534::/:/bin/sh\n").unwrap();
    fs::write(root.path().join("etc/group"), "nogroup:x:65534:\n").unwrap();
    let ran = root.start(&hostile_config()).succeeds().quiet();
    assert_eq!(ran.text(), SHOWN, "{}", ran.report());

    // Containers make the directory where the image lacks it.
    let mut config = hostile_config();
    config["WorkingDir"] = json!("/it's not/there");
    let ran = root.start(&config).succeeds();
    assert!(ran.text().starts_with("guest: nobody\nguest: /it's not/there\n"), "{}", ran.report());
    // Where it cannot be made, the program is told so and runs.
    config["WorkingDir"] = json!("/etc/group/x");
    let ran = root.start(&config).succeeds();
    assert!(ran.text().ends_with("guest: done\n"), "{}", ran.report());
    assert!(ran.stderr.contains("my-init: no directory /etc/group/x\n"), "{}", ran.report());
}

/// Tells who it is: user, group, all groups in order, home.
const WHO: &str = "echo $(id -u) $(id -g) $(for g in $(id -G); do echo $g; done | sort -n) $HOME";

/// What containers make of a config's user.
const USERS: &[(&str, &str)] = &[
    ("", "0 0 0 /root"),
    ("root", "0 0 0 /root"),
    ("web", "100 101 4 6 101 /srv"),
    ("100", "100 101 4 6 101 /srv"),
    ("web:", "100 101 4 6 101 /srv"),
    ("web:log", "100 4 4 /srv"),
    ("web:4", "100 4 4 /srv"),
    ("100:web", "100 101 101 /srv"),
    ("web:999", "100 999 999 /srv"),
    ("web:102", "100 5 5 /srv"), // a name that is a number
    ("last", "7 8 8 /var/last"), // of a line that does not end
    ("1234", "1234 0 0 /"),
    ("1234:56", "1234 56 56 /"),
    ("1234:tty", "1234 6 6 /"),
    (":log", "0 4 4 /root"),
];

fn who(user: &str) -> Value {
    json!({"User": user, "Cmd": ["/bin/sh", "-c", WHO]})
}

/// Whatever the image has to become another user with, it becomes the same.
#[track_caller]
fn becomes_every_user(root: &Root) {
    for (user, expected) in USERS {
        for boot in ["the first boot", "the second"] {
            let ran = root.start(&who(user)).succeeds().quiet();
            assert_eq!(ran.text().trim_end(), *expected, "{user:?}, {boot}");
        }
    }
    // Who nobody knows: a container does not start, and the machine ends with the reason on its console.
    for (user, said) in [
        ("nobody", "my-init: no user nobody in /etc/passwd\n"),
        ("nobody:0", "my-init: no user nobody in /etc/passwd\n"),
        ("web:nobody", "my-init: no group nobody in /etc/group\n"),
        ("12x", "my-init: no user 12x in /etc/passwd\n"),
    ] {
        root.start(&who(user)).fails_with(1, said).stdout_is("");
    }
}

#[test]
fn chroot_of_gnu_becomes_the_user() {
    becomes_every_user(&Root::of(&["chroot"]));
}

#[test]
fn setpriv_becomes_the_user() {
    becomes_every_user(&Root::of(&["setpriv"]));
}

#[test]
fn su_with_pam_becomes_the_user() {
    becomes_every_user(&Root::with_su());
}

#[test]
fn su_of_busybox_becomes_the_user() {
    becomes_every_user(&Root::of_busybox(&["su", "chroot", "setpriv"]));
}

#[test]
fn an_image_that_cannot_become_its_user_says_so() {
    let said = "my-init: nothing here can become 100:101: running as root\n";
    let root = Root::of(&[]);
    let ran = root.start(&who("web")).succeeds();
    assert_eq!(ran.text(), "0 0 0 /srv\n", "{}", ran.report());
    assert_eq!(ran.stderr, said);
    root.start(&who("")).succeeds().quiet().stdout_is("0 0 0 /root\n");
    // Without a database numbers are numbers, and names nobody's.
    fs::remove_file(root.path().join("etc/passwd")).unwrap();
    fs::remove_file(root.path().join("etc/group")).unwrap();
    root.start(&who("")).succeeds().stdout_is("0 0 0 /\n");
    root.start(&who("web")).fails_with(1, "my-init: no user web in /etc/passwd\n");
}

#[test]
fn odd_configs_are_what_containers_make_of_them() {
    let root = Root::of(&[]);
    let echo = |config: Value| root.start(&config).succeeds().quiet().text().to_owned();
    let show = "echo \"$0,$*,$PATH,$PWD,${E-unset},${F-unset}\"";
    let words = |first: &str| json!(["/bin/sh", "-c", show, first]);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    // No Env, no WorkingDir, no User; null and nothing are the same.
    let expected = format!("x,,{path},/,unset,unset\n");
    assert_eq!(echo(json!({"Cmd": words("x")})), expected);
    let nulls = json!({"Entrypoint": null, "Cmd": words("x"), "Env": null, "WorkingDir": null, "User": null});
    assert_eq!(echo(nulls), expected);
    assert_eq!(echo(json!({"Entrypoint": words("x"), "Cmd": [], "Env": [], "WorkingDir": ""})), expected);
    // The entry point comes before the command; one that is an empty word is none.
    assert_eq!(echo(json!({"Entrypoint": words("x"), "Cmd": ["y", ""]})), format!("x,y ,{path},/,unset,unset\n"));
    assert_eq!(echo(json!({"Entrypoint": [""], "Cmd": words("x")})), expected);
    // A relative directory is one of the root.
    assert_eq!(
        echo(json!({"Cmd": words("x"), "WorkingDir": "usr/share"})),
        format!("x,,{path},/usr/share,unset,unset\n")
    );
    // Of the environment: no value is none, an empty one is one, the last one counts, and the image's PATH finds its command.
    let env = json!(["E", "F=", "PATH=/nowhere", "=x", "", "PATH=/usr/bin:/bin"]);
    let mut command = words("x");
    command[0] = json!("sh");
    assert_eq!(echo(json!({"Cmd": command, "Env": env})), "x,,/usr/bin:/bin,/,unset,\n");
    // Nothing of the kernel's environment, nor of the script's own names.
    assert_eq!(
        echo(json!({"Cmd": ["env"], "Env": ["user=me", "HOME=/home", "a.b=c", "-c=d"]})),
        format!("PATH={path}\nHOME=/home\nTERM=linux\nuser=me\na.b=c\n-c=d\n")
    );
    // Docker takes a string for a list of one.
    assert!(echo(json!({"Cmd": "env"})).starts_with("PATH="));

    for nothing in
        [json!({}), json!(null), json!({"Entrypoint": [""], "Cmd": []}), json!({"Entrypoint": null, "Cmd": ""})]
    {
        let ran = root.make(&nothing);
        assert!(!ran.status.success(), "{}", ran.report());
        assert_eq!(ran.stderr, "nginx.layers: the image names no command to run\n", "{}", ran.report());
    }
}

/// One program and a user that is a number, as many images of one static program are.
#[test]
fn an_image_without_a_shell_is_told_of_and_gets_one() {
    needs(&["busybox", "debugfs", "jq"]);
    needs_root("mount an image");
    let directory = scratch();
    let layer = shell(
        "cd \"$0\" && mkdir -p layer && cp \"$(command -v busybox)\" layer/id && tar -C layer --owner=0 --group=0 -cf - id",
    );
    let layer = layer.arg(directory.path()).run().succeeds().stdout;
    let image = Layout::new(directory.path().join("image")).layer(&layer, Compression::Gzip).finish();
    let umoci = Filter::tool("umoci").args(["config", "--image"]).arg(format!("{}:latest", image.display()));
    umoci.args(["--config.user", "65532:65533", "--config.entrypoint", "/id"]).run().succeeds();
    let world = World::with(&image, directory);

    let ran = world.shell(&format!("set -e\n{}", recipe())).run().succeeds();
    assert_eq!(ran.stderr, "there is no /bin/sh: see below\n", "{}", ran.report());
    let all = blocks("sh");
    let tools = all.iter().find(|block| block.contains("-l tools")).expect("the block");
    world.shell(&format!("set -e\n{tools}")).run().succeeds().quiet();
    let disk = world.path("work/rootfs.ext4");
    e2fsck_clean(&disk);
    let ran = boots(&format!("mount -o loop \"$0\" /mnt && cd /mnt && {KERNEL_STARTS}"), &disk).succeeds();
    assert_eq!(ran.text(), "uid=65532(my-init-65532-65533) gid=65533 groups=65533\n", "{}", ran.report());
}

#[test]
#[ignore = "check-full: boots a virtual machine without KVM"]
fn the_virtual_machine_of_the_readme_runs_its_init() {
    needs(&["cpio", "depmod", "modprobe", "qemu-system-x86_64", "timeout", "umoci"]);
    let kernel = test_cache().join("boot");
    tool(repository().join("tests/boot/kernel").to_str().unwrap(), [&kernel]);
    let directory = scratch();
    let layout = directory.path().join("debian-image");
    shell("cp -a \"$0\" \"$1\"").arg(debian().layout).arg(&layout).run().succeeds();
    let config = hostile_config();
    let words = |key: &str| {
        config[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut umoci = Filter::tool("umoci").args(["config", "--image"]).arg(format!("{}:latest", layout.display()));
    for (flag, values) in
        [("--config.env", words("Env")), ("--config.entrypoint", words("Entrypoint")), ("--config.cmd", words("Cmd"))]
    {
        for value in values {
            umoci = umoci.arg(flag).arg(value);
        }
    }
    umoci.args(["--config.user", "nobody:nogroup", "--config.workingdir", "/usr/share"]).run().succeeds();
    let world = World::with(&layout, directory);
    for name in ["vmlinuz", "initramfs"] {
        std::os::unix::fs::symlink(kernel.join(name), world.path(&format!("work/{name}"))).unwrap();
    }
    world.shell(&format!("set -e\n{}", recipe())).run().succeeds();
    // A guest that hangs is given up after some minutes; it takes some seconds.
    let all = blocks("sh");
    let qemu = all.iter().find(|block| block.starts_with("qemu-system-x86_64 ")).expect("the block");
    let qemu = qemu.replace("qemu-system-x86_64 ", "timeout 300 qemu-system-x86_64 ");
    let guest = world.shell(&qemu).run().succeeds();
    let console = String::from_utf8_lossy(&guest.stdout).into_owned();
    println!("{console}");
    let console = console.replace('\r', "");
    let shown = SHOWN.replacen("guest: <>\n", "", 1); // umoci drops an empty argument
    assert!(console.contains(&shown), "the guest does not say {shown}\n{}", guest.report());
    assert!(!console.contains("EXT4-fs error"), "{console}");
    // The first process ended, and the machine with it: the journal has what was not yet in its place.
    let replayed = Filter::tool("e2fsck").arg("-p").arg(world.path("work/rootfs.ext4")).run();
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{}", replayed.report());
    e2fsck_clean(world.path("work/rootfs.ext4"));
}
