//! Placeholders where they stand: known, allowed there, and naming something that is there. What they are replaced by
//! is `recipe/`'s.

use super::diagnostic::Finding;
use super::place::Place;
use super::placeholder::{Part, Parts, Placeholder};
use super::suggest::did_you_mean;
use super::{Component, Driver};

/// What kind of string it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// An item of an argv.
    Item,
    /// Anything else that is one value: a directory, a variable.
    Value,
    /// What consumers are told when we build it.
    ToldInternal,
    /// … when the machine provides it.
    ToldSystem,
    /// … when nobody does.
    ToldAbsent,
}

/// Checks every string of `component` in which placeholders are replaced.
pub(super) fn check_texts(component: &Component, findings: &mut Vec<Finding>) {
    let mut list = |kind: Text, items: &[String], place: &dyn Fn() -> Place| {
        for (index, item) in items.iter().enumerate() {
            check_text(component, kind, item, &|| place().index(index), findings);
        }
    };
    let driver = |key: &'static str| move |name: &'static str| Place::of("build").key(key).key(name);
    match &component.build {
        Driver::Autotools(autotools) => {
            let place = driver("autotools");
            list(Text::Item, &autotools.autogen, &|| place("autogen"));
            list(Text::Item, &autotools.configure, &|| place("configure"));
            list(Text::Item, &autotools.make, &|| place("make"));
            list(Text::Item, autotools.install.as_deref().unwrap_or_default(), &|| place("install"));
        }
        Driver::Make(make) => {
            let place = driver("make");
            list(Text::Item, &make.make, &|| place("make"));
            list(Text::Item, make.install.as_deref().unwrap_or_default(), &|| place("install"));
        }
        Driver::Kconfig(kconfig) => {
            let place = driver("kconfig");
            list(Text::Item, &kconfig.make, &|| place("make"));
            list(Text::Item, kconfig.install.as_deref().unwrap_or_default(), &|| place("install"));
        }
        Driver::Meson(options) => list(Text::Item, &options.options, &|| driver("meson")("options")),
        Driver::Cmake(options) => list(Text::Item, &options.options, &|| driver("cmake")("options")),
        Driver::Cargo(_) | Driver::Steps(_) => {}
    }
    for (index, step) in component.step.iter().enumerate() {
        list(Text::Item, &step.run, &|| Place::of("step").index(index).key("run"));
    }
    list(Text::ToldInternal, &component.told.internal, &|| Place::of("told").key("internal"));
    list(Text::ToldSystem, &component.told.system, &|| Place::of("told").key("system"));
    list(Text::ToldAbsent, &component.told.absent, &|| Place::of("told").key("absent"));

    let mut value = |text: &str, place: &dyn Fn() -> Place| check_text(component, Text::Value, text, place, findings);
    if let Driver::Kconfig(kconfig) = &component.build {
        value(&kconfig.config, &|| driver("kconfig")("config"));
    }
    for (name, text) in &component.env {
        value(text, &|| Place::of("env").key(name));
    }
    for (index, step) in component.step.iter().enumerate() {
        let place = || Place::of("step").index(index);
        if let Some(text) = &step.dir {
            value(text, &|| place().key("dir"));
        }
        for (name, text) in &step.env {
            value(text, &|| place().key("env").key(name));
        }
    }
}

fn check_text(component: &Component, kind: Text, text: &str, place: &dyn Fn() -> Place, findings: &mut Vec<Finding>) {
    for part in Parts::of(text) {
        let finding = match part {
            Ok((Part::Text(_), _)) => continue,
            Ok((Part::Hole(hole), range)) => match misuse(component, kind, &hole, range.len() == text.len()) {
                None => continue,
                Some(misuse) => Finding::new(place().bytes(range), misuse.message, misuse.label).help(misuse.help),
            },
            Err(bad) => Finding::new(place().bytes(bad.range), bad.message, "not a placeholder").help(bad.help),
        };
        findings.push(finding);
    }
}

struct Misuse {
    message: String,
    label: &'static str,
    help: String,
}

/// Why `hole` may not stand in a string of this kind.
fn misuse(component: &Component, kind: Text, hole: &Placeholder, is_whole: bool) -> Option<Misuse> {
    let told = matches!(kind, Text::ToldInternal | Text::ToldSystem | Text::ToldAbsent);
    let misuse = |message: String, label, help: String| Some(Misuse { message, label, help });
    match hole {
        Placeholder::Path if kind != Text::ToldSystem => misuse(
            "`{path}` is known only in `system` of `[told]`".to_owned(),
            "no path here",
            "use `{output:NAME}` for an installed path of this component".to_owned(),
        ),
        Placeholder::Output(name) if kind != Text::ToldInternal => misuse(
            format!("`{hole}` is known only in `internal` of `[told]`"),
            "no output here",
            match component.outputs.get(name) {
                Some(path) => format!("write the path itself: `{path}`"),
                None => "write the path itself".to_owned(),
            },
        ),
        Placeholder::Output(name) if !component.outputs.contains_key(name) => {
            let known = component.outputs.keys().map(String::as_str);
            misuse(
                format!("there is no output `{name}` in this component"),
                "not in `[outputs]`",
                match did_you_mean(name, known) {
                    Some(near) => format!("did you mean `{{output:{near}}}`?"),
                    None => format!("name its path: `[outputs]`, `{name} = \"/usr/...\"`"),
                },
            )
        }
        Placeholder::Extra(source) if !told && !component.extra.contains_key(source) => {
            let known = component.extra.keys().map(super::Name::as_str);
            misuse(
                format!("there is no `[extra.{source}]` in this component"),
                "not declared",
                match did_you_mean(source.as_str(), known) {
                    Some(near) => format!("did you mean `{{extra:{near}}}`?"),
                    None => format!("declare the files: `[extra.{source}]`, `inputs = [\"...\"]`"),
                },
            )
        }
        Placeholder::Set(name) if !component.settings.contains_key(name) => misuse(
            format!("there is no variable `{name}` in this component"),
            "not in `[settings]`",
            match did_you_mean(name, component.settings.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{{set:{near}}}`?"),
                None => format!("declare it with its default: `[settings]`, `{name} = \"...\"`"),
            },
        ),
        Placeholder::Told(other) if kind == Text::Item && !is_whole => misuse(
            format!("`{hole}` must be an item of its own"),
            "stands for any number of items",
            format!("write it alone: `\"{{told:{other}}}\"`"),
        ),
        Placeholder::Told(_) if kind != Text::Item => misuse(
            format!("`{hole}` stands for items of an argv"),
            "not an argv",
            "use it in a `run`, `configure`, `make`, ... list".to_owned(),
        ),
        Placeholder::Told(other) if !component.needs.contains(other) && !component.runtime_needs.contains(other) => {
            let known = component.needs.iter().chain(&component.runtime_needs).map(super::Name::as_str);
            misuse(
                format!("`{other}` is told about, but not needed"),
                "not in `needs` or `runtime-needs`",
                match did_you_mean(other.as_str(), known) {
                    Some(near) => format!("did you mean `{{told:{near}}}`?"),
                    None => format!(
                        "add \"{other}\" to `runtime-needs` (or to `needs`, if its output is used by the build)"
                    ),
                },
            )
        }
        Placeholder::Src
        | Placeholder::Build
        | Placeholder::Stage
        | Placeholder::Deps
        | Placeholder::Jobs
        | Placeholder::Epoch
        | Placeholder::Changeset
        | Placeholder::Extra(_)
            if told =>
        {
            misuse(
                format!("`{hole}` means nothing to a consumer"),
                "a path of this build",
                "consumers are told installed paths: `{output:NAME}`, or `{path}` in `system`".to_owned(),
            )
        }
        _ => None,
    }
}
