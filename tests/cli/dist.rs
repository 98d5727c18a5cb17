//! `make dist` and the crate: what they hold, that it can be installed, that it runs where nothing else is, and that it is
//! the same bytes wherever it is made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::install::files;
use crate::readme::block;
use crate::support::registry::DockerRegistry;
use crate::support::{
    Dist, Filter, Snapshot, architecture, assert_text, debian_unpacked, dist, e2fsck_clean, needs, needs_root,
    repository, scratch, shell, test_cache,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_crate_holds_what_compiles_and_what_documents_it() {
    let list = Filter::tool("cargo").args(["package", "--list", "--allow-dirty", "--locked", "--quiet"]);
    let ran = list.current_dir(repository()).run().succeeds();
    // Where there is a commit, cargo adds its name.
    let mut list: Vec<&str> = ran.text().lines().filter(|line| *line != ".cargo_vcs_info.json").collect();
    list.sort_unstable();
    let mut expected: Vec<String> =
        ["Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE", "README.md"].map(String::from).into();
    for directory in ["bins", "lib", "man"] {
        let snapshot = Snapshot::of(repository().join(directory));
        let paths = snapshot.paths().into_iter().map(|path| format!("{directory}/{path}"));
        expected.extend(paths.filter(|path| repository().join(path).is_file()));
    }
    expected.sort();
    assert_text("the crate's files", &expected.join("\n"), &list.join("\n"));
}

#[test]
#[ignore = "check-full: builds the crate once more"]
fn the_crate_compiles_from_what_it_holds() {
    let package = Filter::tool("cargo").args(["package", "--allow-dirty", "--locked", "--quiet", "--target-dir"]);
    package.arg(test_cache().with_file_name("test-install")).current_dir(repository()).run().succeeds();
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn a_release_holds_filters_pages_and_completions_for_each_architecture() {
    let dist = dist();
    let mut names: Vec<String> =
        ["x86_64", "aarch64"].map(|arch| format!("oci2ext4-{VERSION}-{arch}-linux.tar.gz")).into();
    names.extend(["amd64", "arm64"].map(|arch| format!("oci2ext4_{VERSION}_{arch}.deb")));
    names.extend([format!("oci2ext4-{VERSION}.oci.tar"), "SHA256SUMS".to_owned()]);
    names.sort();
    assert_eq!(dist.names(), names);
    let check = Filter::tool("sha256sum").args(["--check", "--quiet", "--strict", "SHA256SUMS"]);
    check.current_dir(dist.file("")).run().succeeds().quiet();
    let sums = fs::read_to_string(dist.file("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), names.len() - 1, "{sums}");

    let scratch = scratch();
    let scratch = scratch.path();
    for (arch, machine) in [("x86_64", "x86-64"), ("aarch64", "ARM aarch64")] {
        let tree = dist.unpacked(arch, scratch);
        let expected = "\
755 bin/oci-fetch
755 bin/oci-flatten
755 bin/tar2ext4
644 share/bash-completion/completions/oci-fetch
644 share/bash-completion/completions/oci-flatten
644 share/bash-completion/completions/tar2ext4
644 share/doc/oci2ext4/LICENSE
644 share/doc/oci2ext4/README.md
644 share/fish/vendor_completions.d/oci-fetch.fish
644 share/fish/vendor_completions.d/oci-flatten.fish
644 share/fish/vendor_completions.d/tar2ext4.fish
644 share/man/man1/oci-fetch.1
644 share/man/man1/oci-flatten.1
644 share/man/man1/tar2ext4.1
644 share/man/man5/layer-manifest.5
644 share/zsh/site-functions/_oci-fetch
644 share/zsh/site-functions/_oci-flatten
644 share/zsh/site-functions/_tar2ext4
";
        assert_text(&format!("the tarball for {arch}"), expected, &files(&tree));
        for name in ["oci-fetch", "oci-flatten", "tar2ext4"] {
            is_static(&tree.join("bin").join(name), machine);
        }
        let completion = fs::read_to_string(tree.join("share/bash-completion/completions/tar2ext4")).unwrap();
        assert!(completion.contains("--output"), "{completion}");
    }
    // As the README says, in another place.
    let place = scratch.join("place");
    fs::create_dir_all(place.join("share")).unwrap();
    fs::set_permissions(place.join("share"), fs::Permissions::from_mode(0o2775)).unwrap();
    sudo(scratch);
    let install = block("sudo tar -xzf oci2ext4-");
    assert!(install.contains(&format!("oci2ext4-{VERSION}-x86_64-linux.tar.gz")), "{install}");
    let install = install.replace("/usr/local", place.to_str().unwrap()).replace("-xzf ", "-xzf \"$0\"/");
    let install = format!("PATH=\"$1:$PATH\"; {install}");
    shell(&install).arg(dist.file("")).arg(scratch).run().succeeds().quiet();
    let unpacked = scratch.join(format!("oci2ext4-{VERSION}-x86_64-linux"));
    assert_text("what it unpacks", &files(&unpacked), &files(&place));
    let mode = fs::metadata(place.join("share")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2775, "a directory that was there stays as it was");
    let [one, other] = ["x86_64", "aarch64"].map(|arch| scratch.join(format!("oci2ext4-{VERSION}-{arch}-linux/share")));
    Filter::tool("diff").arg("-r").args([one, other]).run().succeeds();
}

/// A `sudo` for commands of the README.
fn sudo(directory: &Path) {
    let path = directory.join("sudo");
    fs::write(&path, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// It is for this kind of machine, needs no library, and knows nothing of the folder that it was made in.
#[track_caller]
fn is_static(program: &Path, machine: &str) {
    let file = Filter::tool("file").arg("-b").arg(program).run().succeeds();
    assert!(file.text().contains(machine) && file.text().contains("static"), "{}", file.text());
    let bytes = fs::read(program).unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    for path in [repository().to_str().unwrap(), home.as_str()].into_iter().filter(|path| path.len() > 4) {
        let found = bytes.windows(path.len()).position(|window| window == path.as_bytes());
        let shown = found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 120).min(bytes.len())]).into_owned());
        assert_eq!(shown, None, "{}", program.display());
    }
}

/// Hosts are found by /etc/hosts and by DNS where there is not even an nsswitch.conf.
#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn the_filters_run_where_nothing_else_is() {
    needs_root("change the root directory and make a network of its own");
    needs(&["chroot", "ip", "python3", "unshare"]);
    let scratch = scratch();
    let tree = dist().unpacked(std::env::consts::ARCH, scratch.path());
    let root = tree.join("bin");
    fs::write(root.join("empty.tar"), [0; 1024]).unwrap();
    let run = Filter::tool("chroot").arg(&root).args(["/tar2ext4", "-o", "/x.ext4", "/empty.tar"]);
    run.run().succeeds().quiet();
    e2fsck_clean(root.join("x.ext4"));

    fs::create_dir(root.join("etc")).unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 from-hosts.test\n").unwrap();
    fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    // A name server that knows one name, by an address that nobody listens at.
    let server = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); s.settimeout(20)
print('ready', flush=True)
while True:
    q, peer = s.recvfrom(512)
    end = q.index(b'\\0', 12) + 5
    known = q[12:end - 4] == b'\\x08from-dns\\x04test\\0'
    a = known and q[end - 4:end - 2] == b'\\0\\1'
    flags = b'\\x81\\x80' if known else b'\\x81\\x83'
    answer = b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\x7f\\0\\0\\1' if a else b''
    s.sendto(q[:2] + flags + b'\\0\\1' + (b'\\0\\1' if a else b'\\0\\0') + bytes(4) + q[12:end] + answer, peer)
";
    let script = "ip link set lo up || exit 99
        python3 -c \"$1\" >ready & server=$!
        until [ -s ready ]; do kill -0 $server || exit 99; sleep 0.05; done
        for host in from-hosts from-dns from-nowhere; do
            chroot \"$0\" /oci-fetch --retries 0 -d /store $host.test:1/x
        done
        kill $server";
    let ran = Filter::tool("unshare").args(["-n", "sh", "-c", script]).arg(&root).arg(server);
    let ran = ran.current_dir(scratch.path()).run().succeeds();
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let said = |line: usize, text: &str| {
        let line = lines.get(line).unwrap_or_else(|| panic!("{}", ran.report()));
        assert!(line.contains(text), "not {text:?}: {line}");
    };
    said(0, "Connection refused");
    said(1, "Connection refused");
    said(2, "from-nowhere.test");
    assert!(!lines[2].contains("Connection refused"), "{}", ran.report());
}

#[test]
#[ignore = "check-full: builds the filters for two architectures, and a Debian"]
fn the_debian_packages_come_and_go_without_a_trace() {
    needs_root("install packages in a Debian");
    let scratch = scratch();
    let root = scratch.path().join("root");
    shell("cp -a \"$0\" \"$1\"").arg(debian_unpacked("debian")).arg(&root).run().succeeds();
    // There is no network here, and nobody to ask.
    let answers = "APT::Get::Assume-Yes \"true\"; APT::Install-Recommends \"false\";";
    fs::write(root.join("etc/apt/apt.conf.d/test"), answers).unwrap();
    sudo(&root.join("usr/bin"));
    let inside = |script: &str| {
        let run = Filter::tool("chroot").arg(&root).args(["sh", "-ec", &format!("cd /root\n{script}")]);
        run.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").run().succeeds().text().to_owned()
    };
    inside("dpkg --add-architecture arm64");
    // What apt and dpkg write of themselves apart.
    let all = "find / -xdev ! -path '/proc/*' ! -path '/var/*' | sort";
    let before = inside(all);
    let install = block("sudo apt install ./oci2ext4_");
    assert!(install.contains(&format!("./oci2ext4_{VERSION}_amd64.deb")), "{install}");
    for (arch, machine) in [("amd64", "x86-64"), ("arm64", "ARM aarch64")] {
        let name = format!("oci2ext4_{VERSION}_{arch}.deb");
        fs::copy(dist().file(&name), root.join("root").join(&name)).unwrap();
        inside(&install.replace("amd64", arch));
        let brought =
            inside("dpkg -L oci2ext4 | while read -r path; do [ -d \"$path\" ] || echo \"$path\"; done | sort");
        let expected = "\
/usr/bin/oci-fetch
/usr/bin/oci-flatten
/usr/bin/tar2ext4
/usr/share/bash-completion/completions/oci-fetch
/usr/share/bash-completion/completions/oci-flatten
/usr/share/bash-completion/completions/tar2ext4
/usr/share/doc/oci2ext4/README.md
/usr/share/doc/oci2ext4/copyright
/usr/share/fish/vendor_completions.d/oci-fetch.fish
/usr/share/fish/vendor_completions.d/oci-flatten.fish
/usr/share/fish/vendor_completions.d/tar2ext4.fish
/usr/share/man/man1/oci-fetch.1
/usr/share/man/man1/oci-flatten.1
/usr/share/man/man1/tar2ext4.1
/usr/share/man/man5/layer-manifest.5
/usr/share/zsh/vendor-completions/_oci-fetch
/usr/share/zsh/vendor-completions/_oci-flatten
/usr/share/zsh/vendor-completions/_tar2ext4
";
        assert_text(&format!("what the package for {arch} brings"), expected, &brought);
        is_static(&root.join("usr/bin/tar2ext4"), machine);
        if arch == architecture() {
            inside("tar -C / -cf - etc | tar2ext4 -o etc.ext4; oci-fetch --version; oci-flatten --version");
            e2fsck_clean(root.join("root/etc.ext4"));
            inside("rm etc.ext4");
        }
        inside(&format!("apt-get remove oci2ext4; rm {name}"));
        assert_text("what is there when it is gone", &before, &inside(all));
    }
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn the_container_image_is_for_both_architectures() {
    needs_root("change the root directory");
    needs(&["skopeo", "umoci"]);
    let scratch = scratch();
    let file = dist().file(&format!("oci2ext4-{VERSION}.oci.tar"));
    let archive = format!("oci-archive:{}:{VERSION}", file.display());
    // As the README says, to a registry without TLS.
    let registry = DockerRegistry::start();
    let copy = block("skopeo copy --all oci-archive:oci2ext4-").replace("registry.example.com", &registry.host());
    assert!(copy.contains(&format!("oci-archive:oci2ext4-{VERSION}.oci.tar:{VERSION} ")), "{copy}");
    let copy = copy.replace("skopeo copy ", "skopeo copy --quiet --insecure-policy --dest-tls-verify=false ");
    shell(&copy).current_dir(dist().file("")).run().succeeds();
    let published = registry.name(&format!("oci2ext4:{VERSION}"));
    for (arch, machine) in [("amd64", "x86-64"), ("arm64", "ARM aarch64")] {
        // As others see it.
        let layout = scratch.path().join(arch);
        let copy = ["copy", "--quiet", "--insecure-policy", "--override-arch", arch, &archive];
        Filter::tool("skopeo").args(copy).arg(format!("oci:{}:it", layout.display())).run().succeeds();
        let bundle = scratch.path().join(format!("{arch}-bundle"));
        Filter::tool("umoci")
            .args(["unpack", "--image"])
            .arg(format!("{}:it", layout.display()))
            .arg(&bundle)
            .run()
            .succeeds();
        let root = bundle.join("rootfs");
        let expected = "755 usr/bin/oci-fetch\n755 usr/bin/oci-flatten\n755 usr/bin/tar2ext4\n";
        assert!(files(&root).contains(expected), "{}", files(&root));
        is_static(&root.join("usr/bin/oci-fetch"), machine);
        let certificates = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
        assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
        // As we do.
        let script = "oci-fetch --platform \"linux/$1\" \"$0\" | oci-flatten | tar2ext4 -o \"$2\"";
        let image = scratch.path().join(format!("{arch}.ext4"));
        shell(script)
            .arg(&published)
            .arg(arch)
            .arg(&image)
            .env("XDG_CACHE_HOME", scratch.path())
            .run()
            .succeeds()
            .quiet();
        e2fsck_clean(&image);
        if arch == architecture() {
            let fetch = Filter::tool("chroot").arg(&root).arg("/usr/bin/oci-fetch").arg("-").stdin_file(&file);
            let ran = fetch.env("PATH", "/usr/bin").env("XDG_CACHE_HOME", "/var/cache");
            assert!(ran.run().succeeds().text().contains("\"type\":\"end\""), "a store where the image says");
        }
    }
}

#[test]
#[ignore = "check-full: builds the filters for two architectures twice"]
fn a_release_is_the_same_bytes_in_whatever_folder() {
    let scratch = scratch();
    let other = scratch.path().join("another-folder");
    let copy = "git -C \"$0\" ls-files -z --cached --others --exclude-standard | (cd \"$0\" && xargs -0 cp -a --parents -t \"$1\")";
    fs::create_dir(&other).unwrap();
    shell(copy).arg(repository()).arg(&other).run().succeeds();
    let second = Dist::make(&other, &other.join("target"), &dist().epoch);
    let sums = |dist: &Dist| fs::read_to_string(dist.file("SHA256SUMS")).unwrap();
    assert_text("SHA256SUMS", &sums(dist()), &sums(&second));
}
