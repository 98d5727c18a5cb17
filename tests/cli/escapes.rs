//! Nothing that a stranger writes drives a terminal, and no secret is said: not in errors, not in logs at their most
//! talkative, not beside progress (S4, S7, R3).

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::registry::{Image, Issuer, Layer, Puller, Registry, Reply, any, docker_archive, get, oci_layout};
use crate::support::script::{Item, What};
use crate::support::stack::{Manifest, compress, tar, tar_without_end};
use crate::support::{Compression, Filter, Ran, needs, scratch, shell};

/// A title, a colour by a C1 control, and text that runs backwards.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";

/// Every filter says as much as it can.
const LOUD: &str = "export RUST_LOG=trace; ";

/// Runs a pipeline twice: with stderr to a pipe, where no control byte may stand but line ends, and on a terminal with
/// progress drawn, where none of [`EVIL`] may.
#[track_caller]
fn harmless(script: &str, args: &[&Path]) -> Ran {
    needs(&["script"]);
    let run = |script: &str| args.iter().fold(shell(script), Filter::arg);
    let ran = run(&format!("{LOUD}{script}")).run();
    let odd = ran.stderr.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
    assert!(odd.is_none(), "{odd:?} in a log\n{:?}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.report());

    // script(1) gives a terminal; its own shell must find the arguments.
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{}'", arg.display())).collect();
    let line = format!("sh -c '{}' {}", format!("{LOUD}{script}").replace('\'', "'\\''"), quoted.join(" "));
    let terminal = shell("exec script -qec \"$0\" /dev/null").arg(line).env("TERM", "xterm").run();
    let shown = String::from_utf8_lossy(&terminal.stdout);
    for part in ["\u{1b}]0", "\u{7}", "\u{9b}", "\u{202e}"] {
        assert!(!shown.contains(part), "{part:?} on a terminal\n{shown:?}");
    }
    ran
}

fn item(name: &str, what: What) -> Item {
    Item { name: name.into(), what, mode: 0o644, owner: (0, 0), mtime: (0, 0), xattrs: Vec::new() }
}

/// A member of a type that nobody knows: a warning names it.
fn unknown(name: &str) -> Vec<u8> {
    let mut member = tar_without_end(&[item(name, What::File(Vec::new()))]);
    member[156] = b'~';
    member[148..156].fill(b' ');
    let sum: u32 = member.iter().map(|byte| u32::from(*byte)).sum();
    member[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    member
}

/// Archives whose names are [`EVIL`]: what the errors and warnings of both readers are about.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let name = |rest: &str| format!("{EVIL}{rest}");
    let with_xattr = Item {
        xattrs: vec![(format!("com.apple.{EVIL}").into_bytes(), EVIL.into())],
        ..item(&name("file"), What::File(b"x".to_vec()))
    };
    vec![
        ("a warning and an attribute", [unknown(&name("")), tar(&[with_xattr])].concat()),
        ("a link to nothing", tar(&[item(&name("link"), What::Link(name("nothing").into()))])),
        ("a loop", tar(&[item(&name("loop"), What::Symlink(name("loop").into())), item(&name("loop/x"), What::Dir)])),
        ("leaving the root", tar(&[item(&name("/../../x"), What::Dir)])),
        ("a corrupt whiteout", tar(&[item(&name("/.wh."), What::File(Vec::new()))])),
        ("a device", tar(&[item(&name("device"), What::Char(1 << 20, 1))])),
        ("a name of 256 bytes", tar(&[item(&name(&"x".repeat(256)), What::Dir)])),
        ("a cut file", tar_without_end(&[item(&name("cut"), What::File(vec![1; 5000]))])[..2048].to_vec()),
        ("a damaged header", {
            let mut bytes = tar(&[item(&name("damaged"), What::Dir)]);
            bytes[100..108].copy_from_slice(&EVIL.as_bytes()[..8]);
            bytes
        }),
        ("no tar", EVIL.repeat(999).into_bytes()),
    ]
}

#[test]
fn names_in_archives() {
    let scratch = scratch();
    let (archive, image) = (scratch.path().join("archive"), scratch.path().join("image"));
    let mut said = String::new();
    for (what, bytes) in archives() {
        fs::write(&archive, &bytes).unwrap();
        for script in [
            "tar2ext4 -vv -o \"$0\" \"$1\"",
            "tar2ext4 -vv -o \"$0\" <\"$1\"",
            "oci-flatten -vv -n -l \"$1\" | cat >/dev/null",
            "oci-flatten -vv -n -l \"$1\" >\"$0\"",
        ] {
            println!("{what}: {script}");
            said += &harmless(script, &[&image, &archive]).stderr;
        }
    }
    // They were named all the same.
    assert!(said.contains("\\x1b]0;owned\\x07") && said.contains("u{9b}") && said.contains("u{202e}"), "{said}");
}

#[test]
fn names_of_files_and_layers() {
    let scratch = scratch();
    let directory = scratch.path().join(format!("{EVIL}directory"));
    fs::create_dir(&directory).unwrap();
    let layer = directory.join("layer");
    fs::write(&layer, compress(&tar(&[item("f", What::File(vec![7; 3 << 20]))]), Compression::Gzip)).unwrap();
    let image = directory.join("image");
    // The names of plain lines are these, and those of layers.
    harmless("oci-flatten -n -l \"$0\" >\"$1\"", &[&layer, &image]).succeeds();
    harmless("oci-flatten --progress plain -n -l \"$0\" >\"$1\"", &[&layer, &image]).succeeds().says("owned");
    harmless("tar2ext4 -o \"$1\" \"$0\"", &[&layer, &image]).succeeds();
    for script in [
        "oci-flatten -n -l \"$0/nothing\" | cat >/dev/null",
        "oci-flatten \"$0/nothing\" | cat >/dev/null",
        "oci-flatten -n -l \"$0\" --tmpdir \"$0/nothing\" | cat >/dev/null",
        "tar2ext4 -o \"$0/no/thing\" /dev/null",
        "tar2ext4 -o \"$0\" /dev/null",
        "tar2ext4 -o \"$0/x\" \"$0/nothing\"",
        "oci-fetch -d \"$0/layer\" oci:\"$0\" | cat >/dev/null",
        "oci-fetch -d \"$0/store\" \"$0\" | cat >/dev/null",
        "oci-fetch -d \"$0/store\" docker-archive:\"$0/layer\" | cat >/dev/null",
        "oci-fetch -d \"$0/store\" overlay2:\"$0/nothing\" | cat >/dev/null",
    ] {
        harmless(script, &[&directory]);
    }

    // A layer manifest is a stranger's too.
    let mut manifest = Manifest::default();
    let plain = tar(&[item("f", What::Dir)]);
    manifest.blob(scratch.path().join("blob"), &plain, &plain, json!({ EVIL: EVIL }));
    let text = manifest.text();
    let saved = scratch.path().join("manifest");
    for (from, to) in [
        ("\"path\":\"", format!("\"path\":\"/{EVIL}")),
        ("\"mediaType\":\"", format!("\"mediaType\":\"{EVIL}")),
        ("\"reference\":\"", format!("\"reference\":\"{EVIL}")),
        ("\"diffId\":\"", format!("\"diffId\":\"{EVIL}")),
        ("\"type\":\"end\"", format!("\"type\":\"{EVIL}\"")),
        ("\"type\":\"end\"", format!("\"{EVIL}\":\"")),
    ] {
        let escaped = to.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007");
        for to in [&to, &escaped] {
            fs::write(&saved, text.replacen(from, to, 1)).unwrap();
            harmless("oci-flatten -vv \"$0\" | cat >/dev/null", &[&saved]);
        }
    }
}

#[test]
fn words_on_the_command_line() {
    let word = Path::new(EVIL);
    for script in [
        "tar2ext4 --size \"$0\" -o x",
        "tar2ext4 --uuid \"$0\" -o x",
        "tar2ext4 -o x \"--no$0\"",
        "oci-flatten --clamp-mtime \"$0\"",
        "oci-flatten x \"$0\"",
        "oci-flatten -n --exclude \"[$0\" | cat >/dev/null",
        "oci-fetch",
        "oci-fetch \"$0\" \"$0\"",
        "oci-fetch --jobs \"$0\" x",
        "oci-fetch --platform \"$0\" x",
        "oci-fetch \"$0\"",
        "oci-fetch \"nosuch:$0\"",
        "oci-fetch --completions \"$0\"",
        "SOURCE_DATE_EPOCH=\"$0\" oci-flatten -n | cat >/dev/null",
        "SOURCE_DATE_EPOCH=\"$0\" tar2ext4 -o x",
    ] {
        harmless(script, &[word]);
    }
}

#[test]
fn names_in_image_archives_and_layouts() {
    let scratch = scratch();
    let (archive, store) = (scratch.path().join("archive"), scratch.path().join("store"));
    for (_, bytes) in archives() {
        fs::write(&archive, &bytes).unwrap();
        harmless("oci-fetch -vv -d \"$0\" docker-archive:\"$1\" | cat >/dev/null", &[&store, &archive]);
    }
    let image = Image::small("x");
    fs::write(&archive, docker_archive(&[(&[EVIL, "demo:latest"], &image), (&[EVIL], &image)])).unwrap();
    harmless("oci-fetch -vv -d \"$0\" docker-archive:\"$1\" | cat >/dev/null", &[&store, &archive]);
    let layer = Layer::file("a", "b").media_type(EVIL).annotated(json!({ EVIL: EVIL }));
    let odd = Image::of([layer]).platform(&format!("linux/{EVIL}"));
    let layout = scratch.path().join("layout");
    oci_layout(&layout, &[(EVIL, &odd), (EVIL, &Image::small("y"))]);
    harmless("oci-fetch -vv -d \"$0\" oci:\"$1\" | cat >/dev/null", &[&store, &layout]);
    harmless("oci-fetch -vv -d \"$0\" oci:\"$1\":latest | cat >/dev/null", &[&store, &layout]);
}

/// What a registry says goes through the log at its most talkative, progress beside it.
#[test]
fn answers_of_registries() {
    let header = "evil \u{9b}31m\u{202e}";
    let said = format!("SECRET {EVIL}");
    type Change = Box<dyn Fn(Reply) -> Reply + Send>;
    let replies: Vec<(&str, Change)> = vec![
        (
            "/manifests/",
            Box::new({
                let said = said.clone();
                move |_| Reply::error(503, EVIL, &said.replace("SECRET ", "busy"))
            }),
        ),
        ("/manifests/", Box::new(|_| Reply::new(403, EVIL.as_bytes()))),
        ("/manifests/", Box::new(move |reply| reply.header("Content-Type", header))),
        ("/manifests/", Box::new(move |reply| reply.header("Docker-Content-Digest", header))),
        ("/blobs/", Box::new(|_| Reply::error(429, EVIL, EVIL).header("Retry-After", "0"))),
        ("/blobs/", Box::new(|_| Reply::redirect(307, "http://127.0.0.1:1/SECRET-\u{9b}31m?X-Amz-Signature=SECRET"))),
        ("/blobs/", Box::new(|_| Reply::redirect(307, "http://user:SECRET@127.0.0.1:1/blob?sig=SECRET#SECRET"))),
        ("/blobs/", Box::new(|_| Reply::redirect(302, "\u{9b}://SECRET"))),
        (
            "/v2/",
            Box::new(move |_| {
                Reply::error(401, "UNAUTHORIZED", EVIL)
                    .header("WWW-Authenticate", &format!("Bearer realm=\"{header}\""))
            }),
        ),
        (
            "/v2/",
            Box::new(|_| {
                let challenge =
                    "Bearer realm=\"http://127.0.0.1:1/t?key=SECRET\",service=\"\u{9b}31m\",scope=\"\u{202e}\"";
                Reply::error(401, "UNAUTHORIZED", "no").header("WWW-Authenticate", challenge)
            }),
        ),
    ];
    for (number, (target, reply)) in replies.into_iter().enumerate() {
        let registry = Registry::start();
        registry.push("demo", "latest", &Image::of([Layer::noise(1, 200_000)]));
        registry.when(any(target), reply);
        let puller = Puller::new();
        let store = puller.store();
        let name = registry.name("demo");
        let script = "oci-fetch -vv --retries 1 --timeout 20 -d \"$0\" \"$1\" | cat >/dev/null";
        let ran = harmless(script, &[&store, Path::new(&name)]);
        // The paths of addresses are shown; what may sign them is not.
        let shown = ran.stderr.replace("/SECRET-", "/");
        assert!(!shown.contains("SECRET"), "{number}: a secret is out\n{}", ran.report());
        println!("{number}: {}", ran.stderr.lines().next_back().unwrap_or_default());
    }
}

/// A pull that goes well through a token, a redirect with a signature and a retry, on a terminal and with everything
/// logged.
#[test]
fn secrets_of_a_pull_that_succeeds() {
    let registry = Registry::start();
    let image = Image::of([Layer::noise(1, 200_000), Layer::file("a", "b")]);
    registry.push("demo", "latest", &image);
    let elsewhere = Registry::start_elsewhere();
    elsewhere.serve("/layer", "application/octet-stream", &*image.layers[0].bytes);
    let to = elsewhere.url("/layer?X-Amz-Signature=SECRET-signature");
    registry.when(get(&*image.layers[0].digest), move |_| Reply::redirect(307, &to));
    registry.when(get(&*image.layers[1].digest).once(), |_| Reply::error(503, "BUSY", EVIL));
    registry.ask_bearer(&Issuer::account("user", "SECRET-password"));
    let puller = Puller::new();
    let auth = crate::support::registry::base64("user:SECRET-password");
    let authfile = puller.file("auth.json", json!({ "auths": { registry.host(): { "auth": auth } } }).to_string());
    let name = registry.name("demo");
    let script = "oci-fetch -vv --retries 2 --authfile \"$2\" -d \"$0\" \"$1\"";
    let ran = harmless(script, &[&puller.store(), Path::new(&name), &authfile]).succeeds();
    assert!(!ran.stderr.contains("SECRET") && !ran.stderr.contains(&auth), "{}", ran.report());
    assert!(!String::from_utf8_lossy(&ran.stdout).contains("SECRET"));
    assert!(ran.stderr.contains("GET "), "the log is not at its most talkative\n{}", ran.report());
}
