//! The site as a browser finds it: whole, linked, in order, harmless; and only what changed is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scraper::{ElementRef, Html, Selector};

use super::*;
use crate::bisect::Seen;
use crate::flow::Ran;
use crate::model::{Blessing, FlightState, JobKind, JobState, Revision, Step, StepState, Tier, Tuple};
use crate::plan::JobPlan;
use crate::report::{Bisection, Commit, Culprit, Point, Report, VERSION};
use crate::simulate::{Script, simulate};
use crate::store::NewFlight;

const HOSTILE: &str = "<script>alert('x')</script> & \"../..\"";

/// A state with its directory, and a place for the site.
struct Filled {
    store: Store,
    dir: tempfile::TempDir,
}

/// One tree moves from each number to the next.
fn tuple(number: usize) -> Tuple {
    let trees = [("xen", number - number / 7), (HOSTILE, number / 7)];
    Tuple(trees.map(|(tree, number)| (tree.to_owned(), Revision(format!("{number:040x}")))).into())
}

impl Filled {
    fn new() -> Filled {
        Filled { store: Store::in_memory().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    /// A flight of three jobs, one of them with an unkind name; all steps have logs.
    fn flight(&mut self, branch: &str, blessing: Blessing, number: usize) -> u64 {
        let job = |name: &str, kind, tier| JobPlan {
            name: name.to_owned(),
            kind,
            tier,
            needs: Vec::new(),
            retries: 0,
            advisory: false,
            deterministic: false,
        };
        let plans = [
            job("build", JobKind::Build, Tier::Smoke),
            job("boot", JobKind::Test, Tier::Smoke),
            job(HOSTILE, JobKind::Test, Tier::Full),
        ];
        let jobs: Vec<&JobPlan> = plans.iter().collect();
        let (now, tuple, baseline) = (1_700_000_000 + number as i64 * 5000, tuple(number + 1), tuple(number));
        let new = NewFlight { blessing, ..NewFlight::new(branch, &tuple, &baseline, &jobs, now) };
        let flight = self.store.begin_flight(&new).unwrap();
        for (place, job) in jobs.iter().enumerate() {
            self.store.begin_job((flight, place), &BTreeMap::new()).unwrap();
            let fails = place == 2 && number.is_multiple_of(3);
            for (step, testid) in [(1, "build/xen"), (2, HOSTILE)] {
                let log = format!("log/{flight}/{place}-{step}.log");
                let path = self.dir.path().join(&log);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, format!("01:02:03 xen: restored from the store\n{HOSTILE}\n{}\n", job.name)).unwrap();
                let started = now + 100 * (place * 2 + step) as i64;
                let begun = Step {
                    testid: testid.to_owned(),
                    state: StepState::Running,
                    started,
                    finished: None,
                    reason: None,
                    log: Some(log),
                };
                self.store.begin_step((flight, place), step, &begun).unwrap();
                let (state, reason) = if fails { (StepState::Fail, Some(HOSTILE)) } else { (StepState::Pass, None) };
                self.store.end_step((flight, place), step, state, reason, started + 90).unwrap();
            }
            let state = if fails { JobState::Fail } else { JobState::Pass };
            self.store
                .end_job((flight, place), state, &BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]), None)
                .unwrap();
        }
        let outcome = if number.is_multiple_of(3) { "regressions - FAIL" } else { "all pass - PUSHED" };
        self.store.set_flight(flight, FlightState::Done, Some(outcome), now + 1000).unwrap();
        flight
    }

    fn bisection(&self, branch: &str, flight: u64) {
        let seen = |place: usize| match place {
            0 | 21 => Seen { good: 3, bad: 0, neither: 0 },
            10 => Seen { good: 0, bad: 0, neither: 3 },
            22 | 40 => Seen { good: 0, bad: 3, neither: 0 },
            _ => Seen::default(),
        };
        let point = |place| Point { tuple: tuple(place), seen: seen(place) };
        let culprit =
            Culprit { tree: "xen".to_owned(), revision: tuple(22).0["xen"].clone(), commits: vec![HOSTILE.to_owned()] };
        let bisection = Bisection {
            version: VERSION,
            branch: branch.to_owned(),
            flight,
            job: HOSTILE.to_owned(),
            testid: None,
            fixed: false,
            end: "complete".to_owned(),
            line: format!("{HOSTILE} complete"),
            culprit: Some(culprit),
            points: (0..=40).map(point).collect(),
        };
        kept::keep_bisection(self.dir.path(), &bisection).unwrap();
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("public/site")
    }

    fn write(&self, now: i64) -> Written {
        let branches = self.store.branches().unwrap();
        let site = Site { store: &self.store, state_dir: self.dir.path(), branches: &branches, now };
        write(&site, &self.target()).unwrap()
    }

    /// Every file of the site.
    fn files(&self) -> BTreeMap<String, String> {
        let target = self.target();
        let mut dirs = vec![target.clone()];
        let mut files = BTreeMap::new();
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let name = path.strip_prefix(&target).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        files
    }

    /// Reads every page and follows every link.
    #[track_caller]
    fn is_sound(&self) {
        let files = self.files();
        let pages: BTreeMap<&str, Html> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".html"))
            .map(|(name, text)| (name.as_str(), Html::parse_document(text)))
            .collect();
        for (name, page) in &pages {
            assert_eq!(page.errors, Vec::<std::borrow::Cow<'static, str>>::new(), "{name}: {}", files[*name]);
            is_in_order(name, page);
            for link in all(page, "[href], [src]") {
                let href = link.attr("href").or(link.attr("src")).unwrap();
                let (path, anchor) = href.split_once('#').unwrap_or((href, ""));
                let path = if path.is_empty() { (*name).to_owned() } else { joined(name, path) };
                assert!(files.contains_key(&path), "{name}: {href} leads to {path}, which is not there");
                if !anchor.is_empty() {
                    let found = all(&pages[path.as_str()], "[id]").iter().any(|one| one.attr("id") == Some(anchor));
                    assert!(found, "{name}: {href}: no such place there");
                }
            }
        }
    }
}

fn joined(from: &str, link: &str) -> String {
    assert!(!link.contains(':') && !link.starts_with('/'), "{from}: {link} leads out of the site");
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(path.pop().unwrap()),
            part => path.push(part),
        }
    }
    path.join("/")
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

/// What a screen reader goes by.
#[track_caller]
fn is_in_order(name: &str, page: &Html) {
    let count = |selector: &str| all(page, selector).len();
    for one in [
        "html[lang]",
        "title",
        "main",
        "header",
        "footer",
        "h1",
        "a.skip[href='#main']",
        "nav[aria-label] [aria-current]",
    ] {
        assert_eq!(count(one), 1, "{name}: {one}");
    }
    assert_eq!(count("script, iframe, object, embed, form, [onclick], [onerror], [onload]"), 0, "{name}");
    let mut level = 0;
    for heading in all(page, "h1, h2, h3, h4, h5, h6") {
        let this: usize = heading.value().name()[1..].parse().unwrap();
        assert!(this <= level + 1, "{name}: h{this} under h{level}");
        level = this;
        assert!(!heading.text().collect::<String>().trim().is_empty(), "{name}: an empty heading");
    }
    for table in all(page, "table") {
        let of = |selector: &str| table.select(&Selector::parse(selector).unwrap()).count();
        assert_eq!(of("caption"), 1, "{name}");
        assert!(of("thead th[scope=col]") > 1 && of("th:not([scope])") == 0, "{name}");
        assert_eq!(of("tbody tr"), of("tbody tr th[scope]"), "{name}: a row without a head");
        let columns = of("thead th");
        for row in table.select(&Selector::parse("tbody tr").unwrap()) {
            assert_eq!(row.child_elements().count(), columns, "{name}: {}", row.html());
        }
    }
    let ids: Vec<&str> = all(page, "[id]").iter().filter_map(|one| one.attr("id")).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{name}: {ids:?}");
    for one in all(page, "[aria-labelledby]") {
        assert!(ids.contains(&one.attr("aria-labelledby").unwrap()), "{name}: {}", one.html());
    }
    for link in all(page, "a") {
        let text: String = link.text().collect();
        assert!(!text.trim().is_empty(), "{name}: a link without a name: {}", link.html());
    }
}

#[test]
fn a_site_of_unkind_names_is_whole_linked_and_harmless() {
    let mut filled = Filled::new();
    for number in 0..95 {
        filled.flight("xen-unstable", if number == 0 { Blessing::Baseline } else { Blessing::Real }, number);
    }
    let last = filled.flight(HOSTILE, Blessing::Real, 3);
    filled.flight("xen-unstable", Blessing::Bisect, 3);
    filled.bisection(HOSTILE, last);
    filled.write(1_700_600_000);
    filled.is_sound();
    let files = filled.files();
    assert!(files.values().all(|text| !text.contains("<script")));
    // Some of what must be told, where it must be.
    let grid = &files["branch/xen-unstable/index.html"];
    assert!(grid.contains("40 of 95") && files.contains_key("branch/xen-unstable/flights-3.html"), "{grid}");
    let flight = Html::parse_document(&files["branch/xen-unstable/flight/4.html"]);
    let bars = all(&flight, ".timeline .bar");
    let places: BTreeSet<&str> = bars.iter().filter_map(|bar| bar.attr("style")).collect();
    assert_eq!((bars.len(), places.len()), (6, 6), "{places:?}");
    assert_eq!(all(&flight, ".timeline .bar.hit").len(), 3, "each build came out of the store");
    let log = Html::parse_document(&files["branch/xen-unstable/flight/4/boot=2.html"]);
    assert!(all(&log, "pre")[0].text().collect::<String>().contains(HOSTILE));
    let bisection = files.iter().find(|(name, _)| name.contains("/bisection/")).unwrap().1;
    let bisection = Html::parse_document(bisection);
    assert_eq!(all(&bisection, "svg .good").len() + all(&bisection, "svg .bad").len(), 4);
    assert_eq!(all(&bisection, "svg .culprit").len(), 1);
    assert!(all(&bisection, "svg text").iter().any(|text| text.text().collect::<String>() == "10 not tested"));
}

#[test]
fn only_what_changed_is_written_again() {
    let mut filled = Filled::new();
    for number in 0..50 {
        filled.flight("b", Blessing::Real, number);
    }
    let first = filled.write(1);
    assert_eq!(first.kept, 0);
    let before = filled.files();
    // The time alone: the overview and its style.
    let again = filled.write(2);
    assert_eq!((again.written, again.kept), (2, first.written - 2));
    let mut after = filled.files();
    for name in ["index.html", ".site.json"] {
        assert_ne!(after.insert(name.to_owned(), before[name].clone()).as_ref(), Some(&before[name]), "{name}");
    }
    assert!(before == after);
    // One flight more: its page and logs, its neighbour, the grid and the jobs.
    filled.flight("b", Blessing::Real, 51);
    let more = filled.write(3);
    assert!(more.written < 40 && more.kept > 300, "{more:?}");
    filled.is_sound();
    // A log that is gone takes its page along.
    fs::remove_dir_all(filled.dir.path().join("log/1")).unwrap();
    filled.write(4);
    assert!(!filled.files().contains_key("branch/b/flight/1/boot=1.html"));
    filled.is_sound();
    let beside: Vec<_> =
        fs::read_dir(filled.target().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "the site and its lock: {beside:?}");
}

#[test]
fn a_directory_that_is_no_site_stays_as_it_is() {
    let filled = Filled::new();
    let target = filled.target();
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("thesis.txt"), "mine").unwrap();
    let site = Site { store: &filled.store, state_dir: filled.dir.path(), branches: &[], now: 1 };
    let error = write(&site, &target).unwrap_err();
    assert!(error.report().contains("it is no site of a gate"), "{}", error.report());
    assert_eq!(fs::read_to_string(target.join("thesis.txt")).unwrap(), "mine");
    fs::remove_file(target.join("thesis.txt")).unwrap();
    // Left by one that was killed.
    fs::create_dir_all(target.with_file_name(".site.new").join("half")).unwrap();
    write(&site, &target).unwrap();
    assert!(target.join("index.html").is_file() && !target.join("half").exists());
}

#[test]
fn a_simulated_week_shows_verdicts_orders_and_commits() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/simulate/a-week.toml")).unwrap();
    let mut filled = Filled::new();
    let dir = filled.dir.path().to_path_buf();
    let commit = |subject: &str| Commit {
        tree: "xen".to_owned(),
        id: Revision("ab".repeat(20)),
        author: "Ann <ann@xenproject.org>".to_owned(),
        subject: subject.to_owned(),
    };
    let mut keep = |ran: &Ran, store: &Store| {
        kept::keep(&dir, &Report::of(store, "simulated", ran, (vec![commit(HOSTILE)], Vec::new()), 1_000_000_500)?)
    };
    simulate(&Script::parse(&text).unwrap(), &mut filled.store, &mut keep).unwrap();
    filled.write(1_000_001_000);
    filled.is_sound();
    let files = filled.files();
    let says = |words: &str| {
        files.values().any(|text| Html::parse_document(text).root_element().text().collect::<String>().contains(words))
    };
    for words in ["REGR. vs. 2", "never pass", "Testing same since", HOSTILE, "Ann <ann@xenproject.org>"] {
        assert!(says(words), "{words}");
    }
}
