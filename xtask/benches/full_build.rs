//! `cargo bench --profile xtask --bench full_build`: real sources built by `xtask build`, in its sandbox, against the same commands by
//! hand without one: copy the tree, then the same steps with `make -j`, one component after the other. Both in turn, in the same run.
//! Sources are Debian's, from the machine's own mirror. `XTASK_BENCH_ROUNDS` says how often (3). Both start from fetched sources; ours
//! also hashes, keeps and installs what came out.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use synthetic::{Times, ratio, run, xtask};

/// What we may take, as a multiple of the work by hand.
const LIMIT: f64 = 1.05;

/// Name, version, build system as its definition has it, and the same as shell.
const COMPONENTS: [(&str, &str, &str, &str); 4] = [
    ("libaio", "0.3.113-4", "[build.make]", "make -j$JOBS; make -j$JOBS DESTDIR=$STAGE install"),
    (
        "libcap-ng",
        "0.8.3-1",
        "[build.autotools]\nautogen = [\"./autogen.sh\"]\nconfigure = [\"--without-python\", \"--without-python3\"]",
        "./autogen.sh; ./configure $DIRECTORIES --without-python --without-python3; make -j$JOBS; \
         make -j$JOBS DESTDIR=$STAGE install",
    ),
    (
        "tinyproxy",
        "1.11.1-2.1+deb12u1",
        "[build.autotools]\nautogen = [\"./autogen.sh\", \"--disable-manpage_support\"]\n\
         configure = [\"--disable-manpage_support\"]",
        "./autogen.sh --disable-manpage_support; ./configure $DIRECTORIES --disable-manpage_support; make -j$JOBS; \
         make -j$JOBS DESTDIR=$STAGE install",
    ),
    (
        "seabios",
        "1.16.2-1",
        "[build.steps]\n[[step]]\nname = \"make\"\nrun = [\"make\", \"PYTHON=python3\"]\n[[step]]\nname = \"install\"\n\
         run = [\"install\", \"-D\", \"out/bios.bin\", \"{stage}/usr/share/seabios/bios.bin\"]",
        "make -j$JOBS PYTHON=python3; install -D out/bios.bin $STAGE/usr/share/seabios/bios.bin",
    ),
];

fn main() {
    let rounds = std::env::var("XTASK_BENCH_ROUNDS").map_or(3, |text| text.parse::<usize>().unwrap());
    let tools = ["autoconf", "automake", "libtoolize", "pkg-config", "python3"];
    if let Some(missing) = tools.iter().find(|tool| which::which(tool).is_err()) {
        println!("full_build: not measured, `{missing}` is not on this machine");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    run(&mut xtask(&project, &["update"]));
    run(&mut xtask(&project, &["fetch"]));
    measure(
        "libaio, libcap-ng, tinyproxy, seabios",
        &project,
        &["libaio", "libcap-ng", "tinyproxy", "seabios"],
        rounds,
    );
    // Nothing beside it that could fill the time when it does not use all processors.
    measure("seabios alone", &project, &["seabios"], rounds);
}

fn measure(title: &str, project: &Path, names: &[&str], rounds: usize) {
    let (mut by_us, mut by_hand) = (Times::default(), Times::default());
    for _ in 0..rounds {
        by_hand.add(|| names.iter().for_each(|name| build_by_hand(project, name)));
        // Results are forgotten, sources are not.
        for dir in ["store/ac", "dist"] {
            fs::remove_dir_all(project.join(dir))
                .or_else(|error| if project.join(dir).exists() { Err(error) } else { Ok(()) })
                .unwrap();
        }
        by_us.add(|| run(&mut xtask(project, &[&["build"], names].concat())));
    }
    // Wall time only: bubblewrap does not hand on what its children used.
    let (ours, theirs) = (by_us.median(), by_hand.median());
    let ratio = ratio(ours, theirs);
    let verdict = if ratio <= LIMIT { "within" } else { "OVER" };
    println!("{title}, {rounds} rounds: {ours:.1?}; by hand {theirs:.1?}; ratio {ratio:.2}, {verdict} {LIMIT}");
}

fn project(dir: &Path) -> PathBuf {
    let root = dir.join("project");
    fs::create_dir_all(root.join("components")).unwrap();
    fs::create_dir_all(root.join("manifests")).unwrap();
    let mut manifest =
        "summary = \"real sources\"\ncomponents = [\"libaio\", \"libcap-ng\", \"tinyproxy\", \"seabios\"]\n".to_owned();
    for (name, version, build, _) in COMPONENTS {
        let head = "summary = \"s\"\nlicence = \"MIT\"\nhomepage = \"https://example.org\"";
        fs::write(root.join(format!("components/{name}.toml")), format!("{head}\nsource = \"{name}\"\n{build}\n"))
            .unwrap();
        manifest += &format!("[sources.{name}]\napt = {{ package = \"{name}\", version = \"{version}\" }}\n");
    }
    fs::write(root.join("manifests/bench.toml"), manifest).unwrap();
    root
}

fn build_by_hand(project: &Path, name: &str) {
    let (.., steps) = COMPONENTS.iter().find(|(other, ..)| *other == name).unwrap();
    let dir = tempfile::tempdir_in(project).unwrap();
    let source = dir.path().join("src");
    run(Command::new("cp").arg("-r").arg(project.join(".xtask/src").join(name)).arg(&source));
    let mut shell = Command::new("sh");
    shell.args(["-ec", steps]).current_dir(&source).env("STAGE", dir.path().join("stage"));
    shell.env("DIRECTORIES", "--prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib");
    shell.env("JOBS", std::thread::available_parallelism().unwrap().to_string()).env_remove("MAKEFLAGS");
    run(&mut shell);
}
