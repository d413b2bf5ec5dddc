//! `gate site` of real flights, and its pages in a real browser, judged by axe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::gated::Gated;
use crate::build::checkout::Checkout;
use crate::tier::{self, Tier};

/// All pages below a directory.
fn pages(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|end| end == "html") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_run_brings_its_site_up_to_date_with_logs_reports_and_bisections() {
    let Some(gated) = Gated::new("! grep -q '<bug>' \"$GATE_SOURCE_A/f\"") else { return };
    let page = |path: &str| gated.checkout.read(&format!("public/{path}")).replace("&#x2f;", "/");
    gated.commit("f", "two\n");
    let ran = gated.checkout.run(&["gate", "run", "g", "--site", "public"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(page("index.html").contains("all pass - PUSHED"), "{}", page("index.html"));
    let flight = page("branch/g/flight/2.html");
    assert!(flight.contains("set f to two") && flight.contains("build/a"), "{flight}");
    let log = page("branch/g/flight/2/build=2.html");
    assert!(log.contains("a: built in") || log.contains("a: restored from the store"), "{log}");

    // The gate's file can say it too.
    let definition = gated.checkout.read("ci/gates/g.toml").replace("summary =", "site = 'public'\nsummary =");
    gated.checkout.write("ci/gates/g.toml", &definition);
    gated.commit("f", "<bug>\n");
    gated.ends(1, &["regressions - FAIL"]);
    let flight = page("branch/g/flight/3.html");
    assert!(flight.contains("REGR. vs. 2") && flight.contains("set f to &lt;bug&gt;"), "{flight}");
    assert!(page("index.html").contains("test test REGR. vs. 2"), "{}", page("index.html"));

    let bisected = gated.checkout.run(&["gate", "bisect", "g", "test"]);
    assert_eq!(bisected.code, Some(0), "{}", bisected.stderr);
    let site = gated.checkout.run(&["gate", "site", "public"]);
    assert_eq!(site.code, Some(0), "{}", site.stderr);
    assert!(page("branch/g/bisection/1.html").contains("culprit"));
    let unknown = gated.checkout.run(&["gate", "site", "public", "--gate", "h"]);
    assert_eq!(unknown.code, Some(2));
    unknown.says(&["there is no branch `h`"]);
    let ours = gated.checkout.run(&["gate", "site", "ci"]);
    assert_eq!(ours.code, Some(2));
    ours.says(&["it is no site of a gate"]);
}

/// What axe has to say of a page as it is opened, in a browser, in this scheme of colours.
fn violations(axe: &Path, page: &Path, top: &Path, is_dark: bool) -> String {
    let copied = tempfile::tempdir().unwrap();
    let style = fs::read_to_string(top.join("style.css")).unwrap();
    let media = if is_dark { "@media all" } else { "@media not all" };
    assert_eq!(style.matches("@media (prefers-color-scheme: dark)").count(), 1);
    let script = "<script src='axe.js'></script><script>
        axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(found => {
          const said = found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' '));
          if (document.documentElement.scrollWidth > innerWidth) said.push('wider than the window');
          document.documentElement.textContent = 'AXE ' + found.passes.length + ' passes; ' + said.join('\\n') + ' END';
        });</script>";
    let text = fs::read_to_string(page).unwrap();
    let link = text.split("href=\"").find_map(|rest| rest.split_once("style.css\"")).unwrap().0;
    let text = text.replace(&format!("{link}style.css"), "style.css").replace("</body>", &format!("{script}</body>"));
    fs::write(copied.path().join("page.html"), text).unwrap();
    fs::write(copied.path().join("style.css"), style.replace("@media (prefers-color-scheme: dark)", media)).unwrap();
    fs::copy(axe, copied.path().join("axe.js")).unwrap();
    let ended = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--window-size=500,900", "--virtual-time-budget=60000", "--timeout=120000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", copied.path().join("profile").display()))
        .arg(copied.path().join("page.html"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let said = said.split("AXE ").nth(1).and_then(|rest| rest.split_once(" END"));
    let said = said.unwrap_or_else(|| panic!("no verdict: {}", String::from_utf8_lossy(&ended.stderr))).0;
    let (passes, said) = said.split_once(" passes; ").unwrap();
    assert!(passes.parse::<u32>().unwrap() > 10, "axe looked at nothing: {passes}");
    said.to_owned()
}

#[test]
fn axe_finds_nothing_in_a_browser_light_or_dark() {
    if !tier::need(Tier::Full) {
        return;
    }
    if which::which("chromium").is_err() || which::which("npm").is_err() {
        return tier::skip("needs chromium and npm");
    }
    let dir = tempfile::tempdir().unwrap();
    let npm = Command::new("npm").args(["install", "--no-audit", "--no-fund", "axe-core@4"]).current_dir(&dir).output();
    let axe = dir.path().join("node_modules/axe-core/axe.min.js");
    if !axe.is_file() {
        return tier::skip(&format!("axe-core cannot be had: {npm:?}"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/simulate/a-week.toml");
    let checkout = Checkout::new();
    let ran = checkout.run(&["gate", "simulate", script, "--site", "public", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let top = checkout.path("public");
    let all = pages(&top);
    // One of each kind; what differs within a kind is text.
    let of = |what: &str| all.iter().find(|page| page.to_str().unwrap().contains(what)).unwrap();
    for page in [&top.join("index.html"), of("simulated/index.html"), of("job/boot"), of("flight/3.html")] {
        for is_dark in [false, true] {
            assert_eq!(violations(&axe, page, &top, is_dark), "", "{}, dark: {is_dark}", page.display());
        }
    }
}
