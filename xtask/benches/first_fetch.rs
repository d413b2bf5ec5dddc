//! `cargo bench --profile xtask --bench first_fetch`: the first fetch of many small repositories against the same work by hand, a
//! bare parallel `git init; git fetch --depth 1 URL COMMIT; git checkout`, both in the same run. `XTASK_BENCH_REPOSITORIES` says
//! how many (100).

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use xtask::definition::{Name, Origin, Pin};
use xtask::layout::Layout;
use xtask::origin::{self, CheckedOut, Fetching};
use xtask::process::Cancel;

const THREADS: usize = 4;
const ROUNDS: usize = 5;
/// What we may take, as a multiple of the work by hand.
const LIMIT: f64 = 1.3;

struct Repository {
    name: Name,
    url: String,
    origin: Origin,
    pin: Pin,
}

fn main() {
    let count = std::env::var("XTASK_BENCH_REPOSITORIES").map_or(100, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let repositories: Vec<Repository> = {
        let layout = Layout { root: dir.path().join("pins"), store: dir.path().join("pins/store") };
        fs::create_dir_all(&layout.root).unwrap();
        (0..count).map(|index| repository(dir.path(), &layout, index)).collect()
    };
    // New directories each time and nothing removed in between: ext4 is slow to make files where some were just removed.
    let (mut ours, mut bare, mut none) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(time(|| each(&repositories, |it| by_hand(&dir.path().join(format!("bare-{round}")), it))));
        let root = dir.path().join(format!("ours-{round}"));
        let layout = Layout { store: root.join("store"), root };
        fs::create_dir_all(&layout.root).unwrap();
        ours.push(time(|| each(&repositories, |it| assert_eq!(fetch(&layout, it), CheckedOut::Fetched))));
        none.push(time(|| each(&repositories, |it| assert_eq!(fetch(&layout, it), CheckedOut::Already))));
    }
    let (ours, bare, none) = (median(ours), median(bare), median(none));
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    let verdict = if ratio <= LIMIT { "within" } else { "OVER" };
    println!(
        "first fetch of {count} repositories: {ours:.2?}; by hand with git: {bare:.2?}; ratio {ratio:.2}, {verdict} {LIMIT}"
    );
    println!("second fetch of {count} repositories: {none:.2?}");
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn each(repositories: &[Repository], work: impl Fn(&Repository) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(repository) = repositories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(repository);
                }
            });
        }
    });
}

fn with<T>(layout: &Layout, work: impl FnOnce(&Fetching<'_>) -> T) -> T {
    let (manifest, cancel) = ("bench".parse().unwrap(), Cancel::default());
    let say = |line: &str| eprintln!("{line}");
    work(&Fetching { layout, manifest: &manifest, offline: false, discard: false, cancel: &cancel, say: &say })
}

fn fetch(layout: &Layout, repository: &Repository) -> CheckedOut {
    let Repository { name, origin, pin, .. } = repository;
    with(layout, |ctx| origin::fetch(ctx, name, origin, Some(pin))).unwrap_or_else(|error| panic!("{}", error.report()))
}

fn git(dir: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(dir).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "git {arguments:?}");
}

fn by_hand(dir: &Path, repository: &Repository) {
    let at = dir.join(&repository.name);
    fs::create_dir_all(&at).unwrap();
    git(&at, &["init", "-q"]);
    git(&at, &["fetch", "-q", "--depth", "1", &repository.url, repository.pin.commit.as_ref().unwrap().as_str()]);
    git(&at, &["checkout", "-q", "FETCH_HEAD"]);
}

/// 101 files of 0.5 to 6 KB, 20 commits.
fn repository(dir: &Path, layout: &Layout, index: u64) -> Repository {
    let at: PathBuf = dir.join(format!("up/r{index}.git"));
    fs::create_dir_all(&at).unwrap();
    git(&at, &["init", "-q", "--bare", "-b", "main"]);
    let mut state = index;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut stream = String::new();
    for commit in 0..20_u64 {
        stream += &format!(
            "commit refs/heads/main\ncommitter C <c@example.org> {} +0000\ndata 2\nx\n",
            1_700_000_000 + commit
        );
        let files: Vec<u64> = if commit == 0 { (0..101).collect() } else { (0..5).map(|_| random(101)).collect() };
        for file in files {
            let words = 60 + random(600);
            let text: String = (0..words).map(|_| format!("{:08x} ", random(3000) * 1_234_567)).collect();
            stream += &format!("M 100644 inline d{}/f{file}.c\ndata {}\n{text}\n", file % 7, text.len());
        }
    }
    let mut import =
        Command::new("git").args(["fast-import", "--quiet"]).current_dir(&at).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let url = format!("file://{}", at.display());
    let origins: std::collections::BTreeMap<String, Origin> =
        toml::from_str(&format!("it = {{ git = {{ urls = [{url:?}], branch = \"main\" }} }}")).unwrap();
    let (name, origin): (Name, _) = (format!("r{index}").parse().unwrap(), origins["it"].clone());
    let pin = with(layout, |ctx| origin::resolve(ctx, &name, &origin, None)).unwrap().unwrap();
    Repository { name, url, origin, pin }
}
