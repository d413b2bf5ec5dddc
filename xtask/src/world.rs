//! Everything a command knows at once: definitions, plan, sources on disk, the machine and the store. Turns a component into the
//! `Inputs` of its action; builds nothing and writes nothing but caches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::action::{Action, Inputs};
use crate::definition::{Component, Definitions, Driver, Lock, Name, Origin, Pin};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::machine::Machine;
use crate::merge::merge;
use crate::origin;
use crate::overrides::{self, Overrides};
use crate::plan::{Plan, Provider, Wanted};
use crate::recipe::{self, Paths, Values};
use crate::release::Unpacked;
use crate::sandbox::Sandbox;
use crate::stat_index::{Modes, scan};
use crate::store::{Output, Store};
use crate::tree::{Rooted, Tree};

/// SOURCE_DATE_EPOCH of sources without a date of their own, local directories: 1980-01-02, the first day that every archive
/// format can say in every time zone.
pub const LOCAL_EPOCH: u64 = 315_619_200;

/// A source as it is on disk.
#[derive(Debug)]
pub struct SourceTree {
    /// Where.
    pub dir: PathBuf,
    /// Everything in it.
    pub tree: Rooted,
    /// SOURCE_DATE_EPOCH.
    pub epoch: u64,
    /// It is what the lock says. A local directory is always what it should be, and so is one that overrides a source.
    pub at_pin: bool,
    /// It is exactly what the lock says, wherever it stands.
    pub is_pins: bool,
}

/// Files chosen from a source: its name, `inputs`, `exclude`.
type Chosen = (Name, Vec<String>, Vec<String>);

/// See the head of the file.
#[derive(Debug)]
pub struct World {
    /// Paths.
    pub layout: Layout,
    /// Manifest, components, lock.
    pub definitions: Definitions,
    /// What is built, and who provides the rest.
    pub plan: Plan,
    /// Content.
    pub store: Store,
    /// Packages, tools, sandbox.
    pub machine: Machine,
    /// Sources of the manifest that are built from a directory of the user.
    pub overrides: Overrides,
    /// The release archive that this checkout was unpacked from.
    pub unpacked: Option<Unpacked>,
    trees: Mutex<BTreeMap<Name, Arc<SourceTree>>>,
    filtered: Mutex<BTreeMap<Chosen, Rooted>>,
}

impl World {
    /// Plans `wanted` over checked definitions.
    pub fn new(layout: Layout, definitions: Definitions, wanted: &Wanted, machine: Machine) -> Result<Self> {
        definitions.refuse_unnamed(&layout, &wanted.names)?;
        let plan = Plan::new(&definitions.manifest, &definitions.components, wanted, &machine.platform())?;
        let store = Store::open(&layout.store)?;
        let overrides = Overrides::in_force(&layout, &definitions)?;
        let unpacked = Unpacked::around(&layout)?;
        Ok(World {
            layout,
            definitions,
            plan,
            store,
            machine,
            overrides,
            unpacked,
            trees: Mutex::default(),
            filtered: Mutex::default(),
        })
    }

    /// Definition of a component of the plan.
    pub fn component(&self, name: &Name) -> &Component {
        &self.definitions.components[name]
    }

    /// Where a source comes from.
    pub fn origin(&self, source: &Name) -> Result<&Origin> {
        self.definitions.manifest.sources.get(source).ok_or_else(|| {
            let manifest = &self.definitions.manifest_name;
            Error::input(format!("manifest `{manifest}` has no source `{source}`"))
        })
    }

    /// The locked revision of a source; none for a local directory and where there is no lock.
    pub fn pin(&self, source: &Name) -> Option<&Pin> {
        self.definitions.lock.as_ref().and_then(|lock: &Lock| lock.sources.get(source))
    }

    /// Date and revision of a source, as Xen's `xl info` shows them. Nothing while the revision may move on: a commit would rebuild what
    /// it does not change. Local changes keep the pin's, as they keep its time.
    pub fn changeset(&self, source: &Name) -> Result<String> {
        let is_frozen = self.definitions.lock.as_ref().is_some_and(|lock| lock.frozen);
        let stays = is_frozen || self.origin(source)?.moves().is_none();
        Ok(self.pin(source).filter(|_| stays).map(crate::release::changeset).unwrap_or_default())
    }

    /// Sources that a component is built from.
    pub fn sources_of(&self, name: &Name) -> BTreeSet<Name> {
        let component = self.component(name);
        std::iter::once(&component.source).chain(component.extra.keys()).cloned().collect()
    }

    /// Sources of everything in the plan.
    pub fn sources(&self) -> BTreeSet<Name> {
        self.plan.order.iter().flat_map(|name| self.sources_of(name)).collect()
    }

    /// Why a source that is not at its pin is built as it is: somebody works in it, or put something else there. `None` where fetch
    /// is to bring it.
    pub fn override_of(&self, source: &Name) -> Result<Option<&'static str>> {
        if self.is_unpacked(source) {
            return Ok(Some("is not as it was in the archive"));
        }
        Ok(match origin::state(&self.layout, source, self.origin(source)?, self.pin(source))? {
            origin::State::Worked { .. } => Some("has local changes"),
            origin::State::Foreign => Some("is not what the lock names, and fetch did not put it there"),
            _ => None,
        })
    }

    /// What a build would take as it stands: at its pin, or overridden.
    pub fn is_here(&self, source: &Name) -> Result<bool> {
        Ok(match self.source(source)? {
            None => false,
            Some(tree) => tree.at_pin || self.override_of(source)?.is_some(),
        })
    }

    /// Reads a source from disk, once; `None` while it is not there.
    pub fn source(&self, source: &Name) -> Result<Option<Arc<SourceTree>>> {
        if let Some(known) = self.trees.lock().unwrap_or_else(PoisonError::into_inner).get(source) {
            return Ok(Some(known.clone()));
        }
        let origin = self.origin(source)?;
        let instead = self.overrides.0.get(source);
        let unpacked = self.unpacked.as_ref().filter(|_| instead.is_none());
        let unpacked = unpacked.and_then(|it| Some((it, it.sources.get(source)?)));
        let dir = instead.cloned().or_else(|| unpacked?.0.directory(source));
        let dir = dir.unwrap_or_else(|| origin::directory(&self.layout, source, origin));
        if !dir.is_dir() {
            return Ok(None);
        }
        let tree = if instead.is_some() {
            overrides::tree(&self.layout, source, &dir)?
        } else if let Some((unpacked, entry)) = unpacked {
            unpacked.tree(&self.layout, source, entry)?
        } else {
            let skip = if matches!(origin, Origin::Path(_)) { overrides::not_source(&dir) } else { Vec::new() };
            scan(&dir, &self.layout.source_index(source), Modes::Source, &skip)?
        };
        // An override keeps the pin's time: its files alone are to differ.
        let pin = self.pin(source);
        let is_pins = match unpacked {
            // An archive may leave files out that the lock's tree has.
            Some((unpacked, _)) => unpacked.is_as_it_was(source, &tree),
            None => pin.is_some_and(|pin| pin.tree == tree.root().hash),
        };
        let at_pin = is_pins || instead.is_some() || matches!(origin, Origin::Path(_));
        let epoch = pin.map_or(LOCAL_EPOCH, |pin| pin.epoch);
        let found = Arc::new(SourceTree { dir, tree, epoch, at_pin, is_pins });
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone(), found.clone());
        Ok(Some(found))
    }

    /// Reads all sources of the plan at once, on all cores.
    pub fn read_sources(&self) -> Result<()> {
        let sources: Vec<Name> = self.sources().into_iter().collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let worker = || -> Result<()> {
            while let Some(source) = sources.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                self.source(source)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (1..self.machine.cores().min(sources.len().max(1))).map(|_| scope.spawn(worker)).collect();
            let mut result = worker();
            for handle in workers {
                let ended = handle.join().unwrap_or_else(|_| Err(Error::machine("a thread that read sources died")));
                result = result.and(ended);
            }
            result
        })
    }

    /// Forgets what was read of a source, because it changed.
    pub fn forget(&self, source: &Name) {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.filtered.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, ..), _| other != source);
    }

    /// Overrides of the sources of the plan, each with its directory.
    pub fn overridden(&self) -> Overrides {
        let used = self.sources();
        let all = self.overrides.0.iter().filter(|(source, _)| used.contains(*source));
        Overrides(all.map(|(source, dir)| (source.clone(), dir.clone())).collect())
    }

    /// How an overridden source is taken from its pin again.
    pub fn back(&self, source: &Name) -> String {
        let dir = self.overrides.0.get(source);
        match self.definitions.chosen.local.get(source).filter(|local| Some(&local.dir) == dir) {
            Some(local) => format!("by {}: cargo xtask configure --show", local.said),
            None => format!("cargo xtask restore {source}"),
        }
    }

    /// The same, or an error that says how to get it.
    pub fn needed_source(&self, source: &Name) -> Result<Arc<SourceTree>> {
        self.source(source)?.ok_or_else(|| {
            if let Some(dir) = self.overrides.0.get(source) {
                let message = format!("source `{source}` is overridden with `{}`, which is not there", dir.display());
                return Error::input(message).help(self.back(source));
            }
            Error::machine(format!("source `{source}` is not here")).help(format!("cargo xtask fetch {source}"))
        })
    }

    /// The files of a source that globs choose.
    pub fn files(&self, source: &Name, inputs: &[String], exclude: &[String]) -> Result<Rooted> {
        let key = (source.clone(), inputs.to_vec(), exclude.to_vec());
        if let Some(tree) = self.filtered.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(tree.clone());
        }
        let whole = self.needed_source(source)?;
        let tree = if inputs == ["**"] && exclude.is_empty() {
            whole.tree.clone()
        } else {
            let matches = |globs: &[String], path: &str| globs.iter().any(|glob| fast_glob::glob_match(glob, path));
            let wanted = |path: &&String| matches(inputs, path) && !matches(exclude, path);
            let entries = whole.tree.0.iter().filter(|(path, _)| wanted(path));
            Rooted::from(Tree(entries.map(|(path, node)| (path.clone(), node.clone())).collect()))
        };
        self.filtered.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tree.clone());
        Ok(tree)
    }

    /// The source came in the archive that this checkout was unpacked from, and nothing stands over it.
    pub fn is_unpacked(&self, source: &Name) -> bool {
        let unpacked = self.unpacked.as_ref().is_some_and(|it| it.sources.contains_key(source));
        unpacked && !self.overrides.0.contains_key(source)
    }

    /// Where the crates of a source that cargo builds are, or will be.
    pub fn crates(&self, source: &Name) -> Result<PathBuf> {
        match self.unpacked.as_ref().filter(|_| self.is_unpacked(source)).and_then(|it| it.crates(source)) {
            Some(crates) => Ok(crates),
            None => crate::cargo_driver::crates_dir(&self.layout, &self.needed_source(source)?.tree),
        }
    }

    /// The sandbox of a component, and where it stands.
    pub fn sandbox(&self, name: &Name) -> Result<Sandbox> {
        let component = self.component(name);
        let (mut crates, mut rust) = (None, None);
        if matches!(component.build, Driver::Cargo(_)) {
            rust = Some(self.machine.rust_toolchain()?);
            crates = Some(self.crates(&component.source)?);
        }
        Ok(Sandbox::new(self.machine.bubblewrap(), self.layout.build(name), crates, rust))
    }

    /// Its build directory is kept from one build to the next: somebody works on its source, and its build system knows what is out
    /// of date.
    pub fn is_kept(&self, name: &Name) -> bool {
        let component = self.component(name);
        self.overrides.0.contains_key(&component.source) && !matches!(component.build, Driver::Steps(_))
    }

    /// Actions whose output is taken for `name`, the exact one first.
    pub fn actions(&self, name: &Name, inputs: &Inputs) -> Result<Vec<Action>> {
        let exact = inputs.action()?;
        Ok(if self.is_kept(name) { vec![exact, inputs.incremental()?.action()?] } else { vec![exact] })
    }

    /// `Err`, with the command that installs them, where a package that the plan needs is missing.
    pub fn need_packages(&self) -> Result<()> {
        self.machine.need_packages(self.plan.order.iter().map(|name| &self.component(name).packages))
    }

    /// What decides the result of building `name`, given the outputs of its needs.
    pub fn inputs(&self, name: &Name, outputs: &dyn Fn(&Name) -> Option<Output>) -> Result<Inputs> {
        let paths = match (self.machine.bubblewrap(), &self.component(name).build) {
            (Some(_), _) => Paths::sandboxed(),
            (None, Driver::Cargo(_)) => Paths::real(&self.layout.build(name), &self.machine.rust_toolchain()?),
            (None, _) => Paths::real(&self.layout.build(name), Path::new("/usr")),
        };
        self.inputs_at(&paths, name, outputs)
    }

    /// The same for a build that sees these paths.
    pub fn inputs_at(&self, paths: &Paths, name: &Name, outputs: &dyn Fn(&Name) -> Option<Output>) -> Result<Inputs> {
        let component = self.component(name);
        let source = self.needed_source(&component.source)?;
        let mut extra = BTreeMap::new();
        for (other, files) in &component.extra {
            extra.insert(other.to_string(), self.files(other, &files.inputs, &[])?.into_tree());
        }
        let mut needs = Vec::new();
        for need in &self.plan.needs[name] {
            let output = outputs(need).ok_or_else(|| {
                Error::machine(format!("`{name}` needs `{need}`, which is not built yet"))
                    .help(format!("cargo xtask build {need}"))
            })?;
            needs.push((need, output));
        }
        let merged = merge(needs.iter().map(|(name, output)| (*name, &output.tree)), &self.definitions.manifest.shared)
            .map_err(|error| Error::input(format!("cannot put the needs of `{name}` together")).because(error))?;
        let mut patches = Vec::new();
        for path in &component.patches {
            let file = self.layout.root.join(path);
            let bytes = fs::read(&file).context(|| format!("cannot read patch `{}` of `{name}`", file.display()))?;
            let base = Path::new(path).file_name().map(|base| base.to_string_lossy().into_owned()).unwrap_or_default();
            patches.push((format!("{:04}-{base}", patches.len() + 1), bytes));
        }
        let told = self.told(component, paths)?;
        let nothing = BTreeMap::new();
        let changeset = self.changeset(&component.source)?;
        let values = Values {
            paths,
            epoch: source.epoch,
            changeset: &changeset,
            arch: self.machine.arch(),
            chosen: &self.definitions.chosen,
            defaults: &component.settings,
            told: &told,
            outputs: &nothing,
            path: None,
            jobs: "$JOBS",
        };
        let mut steps = recipe::steps(component, &values)?;
        if let Some(make) = &self.definitions.chosen.make {
            steps.iter_mut().filter(|step| step.argv[0] == "make").for_each(|step| step.argv[0].clone_from(make));
        }
        if matches!(component.build, Driver::Cargo(_)) {
            crate::cargo_driver::use_vendored_crates(&mut steps, paths);
        }
        Ok(Inputs {
            src: self.files(&component.source, &component.inputs, &component.exclude)?,
            extra,
            deps: merged.tree,
            patches,
            environment: self.machine.environment(component)?,
            steps,
            variables: recipe::environment(component, &values)?,
            arch: self.machine.arch().to_owned(),
        })
    }

    /// Where the files of a component's sources are.
    pub fn source_dirs(&self, name: &Name) -> Result<(Arc<SourceTree>, BTreeMap<String, PathBuf>)> {
        let component = self.component(name);
        let extra = component.extra.keys().map(|other| Ok((other.to_string(), self.needed_source(other)?.dir.clone())));
        Ok((self.needed_source(&component.source)?, extra.collect::<Result<_>>()?))
    }

    /// What every component that `component` names tells it.
    pub fn told(&self, component: &Component, paths: &Paths) -> Result<BTreeMap<Name, Vec<String>>> {
        let nothing = BTreeMap::new();
        let mut told = BTreeMap::new();
        for other in component.needs.iter().chain(&component.runtime_needs) {
            let Some(definition) = self.definitions.components.get(other) else { continue };
            let (items, path) = match self.plan.providers.get(other) {
                Some(Provider::Internal) => (&definition.told.internal, None),
                Some(Provider::System(path)) => (&definition.told.system, Some(path.as_str())),
                Some(Provider::Skipped(_) | Provider::Absent(_)) | None => (&definition.told.absent, None),
            };
            let values = Values {
                paths,
                epoch: 0,
                changeset: "",
                arch: self.machine.arch(),
                chosen: &self.definitions.chosen,
                defaults: &definition.settings,
                told: &nothing,
                outputs: &definition.outputs,
                path,
                jobs: "1",
            };
            told.insert(other.clone(), values.argv(items)?);
        }
        Ok(told)
    }
}
