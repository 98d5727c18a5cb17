//! The README's Job of Kubernetes: what it runs is what stands in its YAML, here on this machine, and in `make check-full`
//! in the container that the README makes for it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::readme::{World, block, blocks};
use crate::support::{Filter, dist, e2fsck_clean, needs, needs_root, sample, scratch};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The images of the volume.
const IMAGES: [&str; 3] = ["cache", "db", "web"];

/// The README's Job, as a cluster reads it.
fn job() -> Value {
    needs(&["python3"]);
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let ran = Filter::tool("python3").args(["-c", script]).stdin(blocks("yaml").concat()).run();
    serde_json::from_slice(&ran.succeeds().stdout).unwrap()
}

/// The one container of its pods.
fn container(job: &Value) -> &Value {
    let containers = job["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// What is run, word by word.
fn words(container: &Value) -> Vec<&str> {
    ["command", "args"].into_iter().flat_map(|key| container[key].as_array().unwrap()).map(text).collect()
}

/// The variables of the pod with this index: its own, and what the control plane adds for `completionMode: Indexed`.
fn variables(container: &Value, index: u64) -> Vec<(String, String)> {
    let own = container["env"].as_array().unwrap().iter();
    let own = own.map(|variable| (text(&variable["name"]).to_owned(), text(&variable["value"]).to_owned()));
    own.chain([("JOB_COMPLETION_INDEX".to_owned(), index.to_string())]).collect()
}

/// A world whose directory `disks` is the volume.
fn world() -> World {
    let directory = scratch();
    let layout = sample(directory.path());
    let world = World::with(&layout, directory);
    fs::create_dir(world.path("disks")).unwrap();
    for name in IMAGES {
        fs::write(world.path(&format!("disks/{name}.image")), "docker.io/library/nginx\n").unwrap();
    }
    world
}

/// All pods, one after the other.
fn run_all(job: &Value, pod: impl Fn(&Value, &[(String, String)])) {
    let spec = &job["spec"];
    assert_eq!((&spec["completionMode"], &spec["completions"]), (&"Indexed".into(), &spec["parallelism"]));
    for index in 0..spec["completions"].as_u64().unwrap() {
        let container = container(job);
        pod(container, &variables(container, index));
    }
}

/// The disks are there and whole; returns their times.
fn disks(volume: &Path) -> [SystemTime; 3] {
    IMAGES.map(|name| {
        let disk = volume.join(format!("{name}.ext4"));
        e2fsck_clean(&disk);
        assert!(!volume.join(format!("{name}.new")).exists());
        fs::metadata(disk).unwrap().modified().unwrap()
    })
}

/// Twice: the second time nothing is made, and after a change that one alone.
fn makes_what_changed(world: &World, run_all: impl Fn()) {
    let volume = world.path("disks");
    run_all();
    let first = disks(&volume);
    run_all();
    assert_eq!(disks(&volume), first, "nothing has changed");
    fs::write(volume.join("db.image"), "docker.io/library/alpine\n").unwrap();
    run_all();
    let third = disks(&volume);
    assert_eq!([third[0], third[2]], [first[0], first[2]]);
    assert!(third[1] > first[1], "another reference is another image");
}

#[test]
fn the_job_makes_each_disk_once() {
    let (world, job) = (world(), job());
    let volume = world.path("disks");
    makes_what_changed(&world, || {
        run_all(&job, |container, variables| {
            let pod = world.shell("exec \"$0\" \"$@\"").args(words(container)).current_dir(&volume);
            let pod = variables.iter().fold(pod, |pod, (name, value)| pod.env(name, value));
            pod.run().succeeds();
        });
    });
    // A pod whose image cannot be had fails, and leaves the disk that was there.
    let before = disks(&volume);
    fs::write(volume.join("web.image"), "docker.io/library/no-such-image\n").unwrap();
    let container = container(&job);
    let pod = world.shell("exec \"$0\" \"$@\"").args(words(container)).current_dir(&volume);
    let pod = variables(container, 3).into_iter().fold(pod, |pod, (name, value)| pod.env(name, value));
    pod.run().fails_with(1, "no-such-image");
    fs::remove_file(volume.join("web.new")).unwrap();
    assert_eq!(disks(&volume), before);
    // One without its index fails, too.
    let pod = world.shell("exec \"$0\" \"$@\"").args(words(container)).current_dir(&volume).env("JOBS", "8");
    let ran = pod.env_remove("JOB_COMPLETION_INDEX").run();
    assert!(!ran.status.success() && ran.stderr.contains("JOB_COMPLETION_INDEX"), "{}", ran.report());
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn the_job_runs_in_the_image_that_is_made_for_it() {
    needs(&["buildah", "busybox"]);
    needs_root("run containers");
    let (world, job) = (world(), job());
    let tarball = format!("oci2ext4-{VERSION}-x86_64-linux.tar.gz");
    let make = block("mkdir -p job ");
    assert!(make.contains(&format!("-xzf {tarball} ")), "{make}");
    fs::copy(dist().file(&tarball), world.path("work").join(&tarball)).unwrap();
    // Storage of its own, and registries without TLS. What is pushed goes to the very host that it is named for, so the
    // command has that of the registry here; what is pulled, the cluster's name for it, is looked up.
    let storage = ["graphroot", "runroot"].map(|name| format!("{name} = {:?}\n", world.path(name))).concat();
    fs::write(world.path("storage.conf"), format!("[storage]\ndriver = \"vfs\"\n{storage}")).unwrap();
    let registries = fs::read_to_string(world.path("registries.conf")).unwrap();
    let host = registries.rsplit("location = '").next().unwrap().split('\'').next().unwrap();
    let make = make.replace("registry.example.com", host);
    let insecure = registries.replace("[[registry]]\n", "[[registry]]\ninsecure = true\n");
    let insecure = format!("{insecure}[[registry]]\ninsecure = true\nlocation = '{host}'\n");
    fs::write(world.path("insecure.conf"), insecure).unwrap();
    let buildah = |script: &str| {
        let shell = world.shell(script).env("BUILDAH_ISOLATION", "chroot");
        shell
            .env("CONTAINERS_STORAGE_CONF", world.path("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", world.path("insecure.conf"))
            .env("REGISTRY_AUTH_FILE", world.path("work/auth.json"))
    };
    buildah(&format!("set -e\n{make}")).run().succeeds();

    // What the cluster pulls is what was pushed.
    let container = container(&job);
    let pull = "buildah rmi --all --force >/dev/null; exec buildah from --quiet --name pod \"$0\"";
    buildah(pull).arg(text(&container["image"])).run().succeeds();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    let volume = format!("{}:{}", world.path("disks").display(), text(&mounts[0]["mountPath"]));
    let configured = format!("{}:/etc/containers/registries.conf:ro", world.path("registries.conf").display());
    makes_what_changed(&world, || {
        run_all(&job, |container, variables| {
            let mut pod = buildah("exec buildah run \"$@\"").arg("pod");
            pod = pod.args(["--volume", &volume, "--volume", &configured]);
            pod = pod.args(["--workingdir", text(&container["workingDir"])]);
            for (name, value) in variables {
                pod = pod.args(["--env", &format!("{name}={value}")]);
            }
            pod.args(["pod", "--"]).args(words(container)).run().succeeds();
        });
    });
    // Nothing but static programs, certificates and a place for what is temporary.
    let files = "root=$(buildah mount pod) && cd \"$root\" && find . -type f -size +0 | sort | sed 's,^,file ,' && find bin -type f -exec file -b {} +";
    let found = buildah(files).run().succeeds();
    let found = found.text();
    for name in ["oci-fetch", "oci-flatten", "tar2ext4", "busybox"] {
        assert!(found.contains(&format!("file ./bin/{name}\n")), "{found}");
    }
    assert_eq!(found.matches("statically linked").count() + found.matches("static-pie linked").count(), 4, "{found}");
}
