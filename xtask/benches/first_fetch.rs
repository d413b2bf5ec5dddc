//! `cargo bench --profile xtask --bench first_fetch`: the first fetch of many small repositories against the same work by hand, a
//! bare parallel `git init; git fetch --depth 1 URL COMMIT; git checkout`, both in the same run. `XTASK_BENCH_REPOSITORIES` says
//! how many (100).

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod synthetic;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use synthetic::{Times, git, ratio};
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
    let (mut ours, mut bare, mut none) = (Times::default(), Times::default(), Times::default());
    for round in 0..ROUNDS {
        bare.add(|| each(&repositories, |it| by_hand(&dir.path().join(format!("bare-{round}")), it)));
        let root = dir.path().join(format!("ours-{round}"));
        let layout = Layout { store: root.join("store"), root };
        fs::create_dir_all(&layout.root).unwrap();
        ours.add(|| each(&repositories, |it| assert_eq!(fetch(&layout, it), CheckedOut::Fetched)));
        none.add(|| each(&repositories, |it| assert_eq!(fetch(&layout, it), CheckedOut::Already)));
    }
    let (ours, bare, none) = (ours.median(), bare.median(), none.median());
    let ratio = ratio(ours, bare);
    let verdict = if ratio <= LIMIT { "within" } else { "OVER" };
    println!(
        "first fetch of {count} repositories: {ours:.2?}; by hand with git: {bare:.2?}; ratio {ratio:.2}, {verdict} {LIMIT}"
    );
    println!("second fetch of {count} repositories: {none:.2?}");
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

fn by_hand(dir: &Path, repository: &Repository) {
    let at = dir.join(&repository.name);
    fs::create_dir_all(&at).unwrap();
    git(&at, &["init", "-q"]);
    git(&at, &["fetch", "-q", "--depth", "1", &repository.url, repository.pin.commit.as_ref().unwrap().as_str()]);
    git(&at, &["checkout", "-q", "FETCH_HEAD"]);
}

fn repository(dir: &Path, layout: &Layout, index: u64) -> Repository {
    let upstream = synthetic::Repository::new(&dir.join("up"), index);
    let url = upstream.url();
    let origins: std::collections::BTreeMap<String, Origin> =
        toml::from_str(&format!("it = {{ git = {{ urls = [{url:?}], branch = \"main\" }} }}")).unwrap();
    let (name, origin): (Name, _) = (upstream.name.parse().unwrap(), origins["it"].clone());
    let pin = with(layout, |ctx| origin::resolve(ctx, &name, &origin, None)).unwrap().unwrap();
    Repository { name, url, origin, pin }
}
