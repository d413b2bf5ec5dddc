//! What a component's definition makes the machine do: the driver's usual steps (`driver.rs`), then its own, as argv with every
//! placeholder filled in. Decides; runs nothing.

mod driver;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::definition::placeholder::{Part, Placeholder, parse};
use crate::definition::{Component, Driver, Name, Step as Defined};
use crate::error::{Error, Result};
use crate::process::{Word, shell_line};
use crate::settings::{Chosen, Directories};

pub use driver::tools;

const DEFAULT_TIMEOUT_MINS: u64 = 120;

/// The paths that a recipe sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What holds `src build stage deps extra crates tmp home`.
    base: String,
    /// The Rust toolchain.
    pub rust: String,
}

impl Paths {
    /// The same for everyone: the sandbox puts them there.
    pub fn sandboxed() -> Self {
        Paths { base: "/b".to_owned(), rust: "/rust".to_owned() }
    }

    /// The real ones, for a build without a sandbox.
    pub fn real(build: &Path, rust: &Path) -> Self {
        Paths { base: build.display().to_string(), rust: rust.display().to_string() }
    }

    /// One of the directories of a build.
    pub fn dir(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }
}

/// Everything that fills a placeholder.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// Paths that the steps see.
    pub paths: &'a Paths,
    /// SOURCE_DATE_EPOCH.
    pub epoch: u64,
    /// See `World::changeset`.
    pub changeset: &'a str,
    /// `uname -m`.
    pub arch: &'a str,
    /// Directories and variables.
    pub chosen: &'a Chosen,
    /// The component's own defaults of variables.
    pub defaults: &'a BTreeMap<String, String>,
    /// What each component named in `{told:…}` tells.
    pub told: &'a BTreeMap<Name, Vec<String>>,
    /// Installed paths of the component's own outputs, and the system path: only inside `[told]`.
    pub outputs: &'a BTreeMap<String, String>,
    /// See `outputs`.
    pub path: Option<&'a str>,
    /// How many jobs a tool may start that is no client of the jobserver. A variable of the shell while the digest is made,
    /// since the number is not part of what is built.
    pub jobs: &'a str,
}

/// What a step is to a build that goes on in a directory that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Is over: it found out about the machine and the needs, which are the same, or another step does its work too.
    Done,
    /// Makes what is out of date. When it fails it may be called again.
    Make,
    /// Everything else.
    Other,
}

/// One argv, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Names its log.
    pub name: String,
    /// Where it stands in the build.
    pub role: Role,
    /// argv.
    pub argv: Vec<String>,
    /// Where.
    pub dir: String,
    /// Beside the environment of the component.
    pub env: BTreeMap<String, String>,
    /// Its whole tree is killed after that.
    pub timeout: Duration,
}

impl Values<'_> {
    /// Fills one string. `{told:…}` may not stand inside one.
    pub fn fill(&self, text: &str) -> Result<String> {
        let wrong = |what: String| Error::input(format!("cannot fill in `{text}`")).because(what);
        let mut filled = String::new();
        for part in parse(text).map_err(|bad| wrong(bad.to_string()))? {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Hole(hole) => match &hole {
                    Placeholder::Src => filled.push_str(&self.paths.dir("src")),
                    Placeholder::Build => filled.push_str(&self.paths.dir("build")),
                    Placeholder::Stage => filled.push_str(&self.paths.dir("stage")),
                    Placeholder::Deps => filled.push_str(&self.paths.dir("deps")),
                    Placeholder::Prefix => filled.push_str(&self.chosen.directories.prefix),
                    Placeholder::Sysconfdir => filled.push_str(&self.chosen.directories.sysconfdir),
                    Placeholder::Localstatedir => filled.push_str(&self.chosen.directories.localstatedir),
                    Placeholder::Libdir => filled.push_str(&self.chosen.directories.libdir),
                    Placeholder::Set(name) => filled.push_str(
                        self.chosen.variables.get(name).or(self.defaults.get(name)).map_or("", String::as_str),
                    ),
                    Placeholder::Jobs => filled.push_str(self.jobs),
                    Placeholder::Epoch => filled.push_str(&self.epoch.to_string()),
                    Placeholder::Changeset => filled.push_str(self.changeset),
                    Placeholder::Arch => filled.push_str(self.arch),
                    Placeholder::Extra(source) => filled.push_str(&self.paths.dir(&format!("extra/{source}"))),
                    Placeholder::Output(name) => {
                        let path = self.outputs.get(name);
                        let path = path.ok_or_else(|| wrong(format!("there is no output `{name}`")))?;
                        filled.push_str(&self.chosen.directories.path(path));
                    }
                    Placeholder::Path => {
                        filled
                            .push_str(self.path.ok_or_else(|| wrong("`{path}` stands only in `told.system`".into()))?);
                    }
                    Placeholder::Told(_) => return Err(wrong(format!("`{hole}` is a whole argv item or nothing"))),
                },
            }
        }
        Ok(filled)
    }

    /// Fills an argv; `{told:NAME}` becomes as many items as that component tells.
    pub fn argv(&self, items: &[String]) -> Result<Vec<String>> {
        let mut argv = Vec::new();
        for item in items {
            match parse(item).as_deref() {
                Ok([Part::Hole(Placeholder::Told(component))]) => {
                    argv.extend(self.told.get(component).into_iter().flatten().cloned());
                }
                _ => argv.push(self.fill(item)?),
            }
        }
        Ok(argv)
    }
}

/// All steps of a component, in order.
pub fn steps(component: &Component, values: &Values<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if !component.needs.is_empty() {
        steps.push(pkg_config_of_needs(values));
    }
    steps.extend(driver::steps(component, values)?);
    for defined in &component.step {
        steps.push(own_step(defined, values)?);
    }
    Ok(steps)
}

/// The `.pc` files of the needs, saying where their libraries stand now. PKG_CONFIG_SYSROOT_DIR would do the same to those of the
/// system, which stay where they are.
fn pkg_config_of_needs(values: &Values<'_>) -> Step {
    let (deps, to) = (values.paths.dir("deps"), pkg_config_dir(values.paths));
    let Directories { prefix, libdir, .. } = &values.chosen.directories;
    let script = format!(
        "mkdir -p {to}\nfor pc in {deps}{libdir}/pkgconfig/*.pc {deps}{prefix}/share/pkgconfig/*.pc; do\n\
         test ! -e $pc || sed 's,={prefix},={deps}{prefix},; s,-\\([IL]\\){prefix},-\\1{deps}{prefix},g' $pc > {to}/${{pc##*/}}\ndone"
    );
    Step {
        name: "pkg-config".to_owned(),
        role: Role::Done,
        argv: vec!["sh".to_owned(), "-ec".to_owned(), script],
        dir: values.paths.dir("build"),
        env: BTreeMap::new(),
        timeout: Duration::from_secs(60),
    }
}

fn pkg_config_dir(paths: &Paths) -> String {
    format!("{}/pkgconfig", paths.dir("build"))
}

fn own_step(defined: &Defined, values: &Values<'_>) -> Result<Step> {
    let env = defined.env.iter().map(|(name, value)| Ok((name.clone(), values.fill(value)?))).collect::<Result<_>>()?;
    Ok(Step {
        name: defined.name.to_string(),
        role: Role::Other,
        argv: values.argv(&defined.run)?,
        dir: values.fill(defined.dir.as_deref().unwrap_or("{src}"))?,
        env,
        timeout: Duration::from_secs(60 * defined.timeout_mins.unwrap_or(DEFAULT_TIMEOUT_MINS)),
    })
}

/// The environment of every step: nothing of the user's, the same on every machine.
pub fn environment(component: &Component, values: &Values<'_>) -> Result<BTreeMap<String, String>> {
    let paths = values.paths;
    let system = "/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env: BTreeMap<String, String> = [
        ("GIT", "/bin/false"),
        ("WGET", "/bin/false"),
        ("LC_ALL", "C.UTF-8"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PATH", system),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/sh"),
        ("TERM", "dumb"),
        ("HOME", &paths.dir("home")),
        ("TMPDIR", &paths.dir("tmp")),
        ("SOURCE_DATE_EPOCH", &values.epoch.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if !component.needs.is_empty() {
        let deps = paths.dir("deps");
        env.insert("PKG_CONFIG_PATH".into(), pkg_config_dir(paths));
        let Directories { prefix, libdir, .. } = &values.chosen.directories;
        env.insert("CPPFLAGS".into(), format!("-I{deps}{prefix}/include"));
        env.insert("LDFLAGS".into(), format!("-L{deps}{libdir} -Wl,-rpath-link,{deps}{libdir}"));
    }
    if matches!(component.build, Driver::Cargo(_)) {
        if *paths != Paths::sandboxed() {
            env.extend([crate::cargo_driver::usual_paths(|name| paths.dir(name))]);
        }
        env.insert("PATH".into(), format!("{}/bin:{system}", paths.rust));
        env.insert("CARGO_HOME".into(), paths.dir("home/cargo"));
        env.insert("CARGO_TARGET_DIR".into(), paths.dir("build"));
        env.insert("CARGO_INCREMENTAL".into(), "0".into());
        env.insert("CARGO_NET_OFFLINE".into(), "true".into());
    }
    for (name, value) in &component.env {
        env.insert(name.clone(), values.fill(value)?);
    }
    Ok(env)
}

/// Where a step leaves the number of jobs open, and what a shell has there.
pub fn jobs() -> (String, Word) {
    ("$JOBS".to_owned(), Word::variable("JOBS", ""))
}

/// The steps as a shell script that a person, or a remote worker, can run: `$JOBS` is the only thing left open.
pub fn script(steps: &[Step]) -> String {
    let mut script = String::from(
        "#!/bin/sh\n# The steps of this build, in order. JOBS is how many jobs a tool may start by itself.\nset -e\n: \"${JOBS:=1}\"\n",
    );
    let jobs = [jobs()];
    for step in steps {
        let env = step.env.iter().map(|(name, value)| format!("{name}={value}"));
        let assignments = shell_line(env);
        let words = step.argv.iter().map(|item| Word::filled(item, &jobs).to_string());
        let line = words.collect::<Vec<_>>().join(" ");
        let prefix = if assignments.is_empty() { String::new() } else { format!("env {assignments} ") };
        script.push_str(&format!("\n# {}\ncd {}\n{prefix}{line}\n", step.name, shell_line([&step.dir])));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> String {
        check_with(&Chosen::default(), toml)
    }

    fn check_with(chosen: &Chosen, toml: &str) -> String {
        let head = "summary = 's'\nlicence = 'MIT'\nhomepage = 'h'\nsource = 'x'\n";
        let component: Component = toml::from_str(&format!("{head}{toml}")).unwrap();
        let (told, outputs) =
            (BTreeMap::from([("bios".parse().unwrap(), vec!["--a".into(), "--b".into()])]), BTreeMap::new());
        let paths = Paths::sandboxed();
        let values = Values {
            paths: &paths,
            epoch: 7,
            changeset: "",
            arch: "x86_64",
            chosen,
            defaults: &component.settings,
            told: &told,
            outputs: &outputs,
            path: None,
            jobs: "$JOBS",
        };
        steps(&component, &values)
            .unwrap()
            .iter()
            .map(|s| format!("{}@{}: {}\n", s.name, s.dir, shell_line(&s.argv)))
            .collect()
    }

    #[test]
    fn autotools_configures_and_installs_into_the_stage() {
        assert_eq!(
            check(
                "[build.autotools]\nautogen=['./autogen.sh']\nconfigure=['{told:bios}','--x={epoch}']\nout-of-tree=true"
            ),
            "autogen@/b/src: ./autogen.sh\n\
             configure@/b/build: /b/src/configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib --a --b --x=7\n\
             make@/b/build: make\n\
             install@/b/build: make DESTDIR=/b/stage install\n"
        );
    }

    #[test]
    fn needs_are_found_where_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::real(dir.path(), Path::new("/usr"));
        let pc = dir.path().join("deps/usr/lib/pkgconfig");
        std::fs::create_dir_all(&pc).unwrap();
        std::fs::write(pc.join("x.pc"), "prefix=/usr\nincludedir=${prefix}/include\nLibs: -L/usr/lib -lx\n").unwrap();
        let nothing = BTreeMap::new();
        let (told, outputs) = (BTreeMap::new(), &nothing);
        let values = Values {
            paths: &paths,
            epoch: 7,
            changeset: "",
            arch: "x86_64",
            chosen: &Chosen::default(),
            defaults: outputs,
            told: &told,
            outputs,
            path: None,
            jobs: "1",
        };
        let step = pkg_config_of_needs(&values);
        let ended = crate::process::Program::new(step.argv).dir(dir.path()).run(&Default::default()).unwrap();
        ended.success(|| "cannot run the step".to_owned()).unwrap();
        let deps = paths.dir("deps");
        assert_eq!(
            std::fs::read_to_string(dir.path().join("build/pkgconfig/x.pc")).unwrap(),
            format!("prefix={deps}/usr\nincludedir=${{prefix}}/include\nLibs: -L{deps}/usr/lib -lx\n")
        );
    }

    #[test]
    fn directories_and_variables_are_those_that_were_chosen() {
        let directories =
            Directories { prefix: "/opt/xen".into(), libdir: "/opt/xen/lib64".into(), ..Directories::default() };
        let variables = BTreeMap::from([("NICS".to_owned(), "rtl8139".to_owned())]);
        let chosen = Chosen { directories, variables, ..Chosen::default() };
        let text = "settings={NICS='none',DEBUG='n'}\n[build.cmake]\noptions=['{set:NICS}','{set:DEBUG}']";
        let steps = check_with(&chosen, text);
        for wanted in
            ["CMAKE_INSTALL_PREFIX=/opt/xen ", "CMAKE_INSTALL_LIBDIR=lib64 ", "SYSCONFDIR=/etc ", " rtl8139 n\n"]
        {
            assert!(steps.contains(wanted), "{wanted}: {steps}");
        }
        let bins = check_with(&chosen, "[build.cargo]\nbins={vhd-util='{prefix}/bin/vhd-util'}");
        assert!(bins.contains(" /b/stage/opt/xen/bin/vhd-util\n"), "{bins}");
    }

    #[test]
    fn jobs_stay_open_in_the_script() {
        let head = "[build.steps]\n[[step]]\nname='n'\nrun=['ninja','-j{jobs}']\nenv={A='b c'}";
        assert_eq!(check(head), "n@/b/src: ninja '-j$JOBS'\n");
    }

    #[test]
    fn a_shell_fills_in_the_jobs_wherever_they_stand() {
        let argv = ["make", "-j$JOBS", "-n", "$JOBS", "x '$JOBS'", "$HOME"].map(str::to_owned).into();
        let (dir, env) = ("/b/src".to_owned(), BTreeMap::new());
        let step = Step { name: "n".into(), role: Role::Other, argv, dir, env, timeout: Duration::ZERO };
        let wanted = r#"make "-j$JOBS" -n "$JOBS" "x '$JOBS'" '$HOME'"#;
        assert_eq!(script(&[step]).lines().last(), Some(wanted));
    }

    #[test]
    fn cargo_builds_locked_and_offline() {
        assert_eq!(
            check("[build.cargo]\nbins={vhd-util='/usr/bin/vhd-util'}"),
            "build@/b/src: cargo build --release --locked --offline --bin=vhd-util\n\
             install-vhd-util@/b/src: install -D -m 755 /b/build/release/vhd-util /b/stage/usr/bin/vhd-util\n"
        );
    }
}
