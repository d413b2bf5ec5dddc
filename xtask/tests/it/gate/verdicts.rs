//! Every kind of candidate of a real source, libaio: what the gate makes of it, whether the ref moves, and who is blamed.

use super::forge::Forge;
use crate::build::small::Small;
use crate::real::upstream::LIBAIO;
use crate::tier::{self, Tier};

/// What people change in libaio.
const SOURCE: &str = "src/io_queue_init.c";

/// Links with what was built and runs that.
const PROBE: &str = r#"
summary = "a program that uses the library"
needs   = ["build-libaio"]

[run.test]
sources = ["libaio"]
argv = ["sh", "-ec", '''
"$XTASK" build
printf '#include <libaio.h>\nint main(void) { io_context_t c = 0; return io_queue_init(0, &c) != -22; }\n' > probe.c
cc probe.c -o probe -Idist/usr/include -Ldist/usr/lib -laio
LD_LIBRARY_PATH=dist/usr/lib ./probe
''']
"#;

/// Fails whatever is tested.
const NEVER: &str = "summary = 'nobody has made it pass yet'\n[run.test]\nsources = ['libaio']\nargv = ['false']\n";

#[test]
fn good_broken_wrong_and_never_passed_end_as_the_table_says() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let Some(forge) = Forge::new(&[("libaio", LIBAIO)], &[("probe", PROBE), ("never", NEVER)]) else { return };
    let libaio = &forge.trees[0];
    let good = libaio.replace(SOURCE, "-EINVAL", "/* as ever */ -EINVAL");
    let report = forge.ends(0, &["tolerable FAIL - PUSHED", "never pass"]);
    assert!(report.contains("X-Gate-Failures: g:never:test:fail:never pass") && !report.contains("REGR"), "{report}");
    assert_eq!(libaio.tested(), good);

    libaio.replace(SOURCE, "-EINVAL", "-ENOSUCHWORD");
    let blamed = "X-Gate-Failures: g:build-libaio:build/libaio:fail:REGR. vs. 2";
    forge.ends(1, &["regressions - FAIL", blamed]);
    assert_eq!(libaio.tested(), good);

    // It builds, and does not do what it should.
    libaio.replace(SOURCE, "/* as ever */ -ENOSUCHWORD", "0");
    let report = forge.ends(1, &["regressions - FAIL", "X-Gate-Failures: g:probe:test:fail:REGR. vs. 2"]);
    assert!(report.contains("never pass"), "what never passed is told, and blames nobody: {report}");
    assert_eq!(libaio.tested(), good);

    let repaired = libaio.replace(SOURCE, "return 0;", "return -EINVAL;");
    forge.ends(0, &["tolerable FAIL - PUSHED"]);
    assert_eq!(libaio.tested(), repaired);
}

#[test]
fn a_full_disk_blames_nobody_and_with_space_the_same_candidate_is_pushed() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let Some(forge) = Forge::new(&[("libaio", LIBAIO)], &[("probe", PROBE)]) else { return };
    let libaio = &forge.trees[0];
    forge.ends(0, &["up to date"]);
    let before = libaio.replace(SOURCE, "-EINVAL", "/* one */ -EINVAL");
    forge.ends(0, &["all pass - PUSHED"]);
    let candidate = libaio.replace(SOURCE, "/* one */", "/* two */");
    let Some(place) = Small::mount(&forge.checkout.path(".xtask/gate/g"), "size=24m") else { return };
    let ran = place.run(&forge.checkout, &["gate", "run", "g"]);
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.stdout, ran.stderr);
    for words in ["FAIL and problems with tests", "g:build-libaio:build/libaio:broken:", "none of them a regression"] {
        assert!(ran.stdout.contains(words), "{words}: {}\n{}", ran.stdout, ran.stderr);
    }
    assert_eq!(libaio.tested(), before);
    place.grow("size=2g");
    let ran = place.run(&forge.checkout, &["gate", "run", "g"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("all pass - PUSHED"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(libaio.tested(), candidate);
}

#[test]
fn a_flaky_test_is_tried_again_and_told_as_intermittent() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Each second run fails.
    let count = dir.path().join("runs").display().to_string();
    let test = format!("echo x >> {count}; [ $(( $(wc -l < {count}) % 2 )) = 1 ]");
    let job = |retries: u32| {
        format!(
            "summary = 'f'\nneeds = ['build-libaio']\nretries = {retries}\n[run.test]\nsources = ['libaio']\nargv = ['sh', '-ec', '{test}']\n"
        )
    };
    let Some(forge) = Forge::new(&[("libaio", LIBAIO)], &[("flaky", &job(1))]) else { return };
    let libaio = &forge.trees[0];
    let candidate = libaio.replace(SOURCE, "-EINVAL", "/* one */ -EINVAL");
    // The baseline passed, the candidate fails, its second try passes.
    forge.ends(0, &["tolerable", "PUSHED", "pass in 3"]);
    assert_eq!(libaio.tested(), candidate);

    // Without a try of its own it blocks, and the next run of the same revision lets it go.
    forge.gate(&["libaio"], &[("build-libaio", ""), ("flaky", &job(0))]);
    let candidate = libaio.replace(SOURCE, "/* one */", "/* two */");
    forge.ends(1, &["regressions - FAIL", "g:flaky:test:fail:REGR."]);
    assert_ne!(libaio.tested(), candidate);
    forge.ends(0, &["PUSHED"]);
    assert_eq!(libaio.tested(), candidate);
}
