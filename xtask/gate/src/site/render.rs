//! Templates to text. Whatever a template is given is escaped.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::error::{Context, Result};
use crate::model::Revision;
use crate::report::{seconds, when};

/// By name.
pub(super) const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("templates/base.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("overview.html", include_str!("templates/overview.html")),
    ("branch.html", include_str!("templates/branch.html")),
    ("job.html", include_str!("templates/job.html")),
    ("flight.html", include_str!("templates/flight.html")),
    ("log.html", include_str!("templates/log.html")),
    ("bisection.html", include_str!("templates/bisection.html")),
];
/// What all pages look like.
pub(super) const STYLE: &str = include_str!("templates/style.css");

/// All templates, ready.
#[derive(Debug)]
pub(super) struct Renderer(Environment<'static>);

impl Renderer {
    pub(super) fn new() -> Result<Renderer> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.context(|| "cannot set up the templates".to_owned())?);
        environment.add_filter("when", |at: i64| when(at));
        environment.add_filter("iso", |at: i64| when(at).replace(' ', "T") + "Z");
        environment.add_filter("took", |duration: i64| seconds(duration));
        environment.add_filter("short", |revision: String| Revision(revision).short().to_owned());
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).context(|| format!("cannot read the template `{name}`"))?;
        }
        Ok(Renderer(environment))
    }

    /// A page at `path` of the site.
    pub(super) fn page(
        &self,
        template: &str,
        path: &str,
        title: &str,
        content: &impl Serialize,
    ) -> Result<(String, String)> {
        let rendering = || format!("cannot make the page `{path}`");
        let context = minijinja::context! {
            top => super::place::to_top(path),
            title => title,
            page => Value::from(Serde(content)),
        };
        let text = self.0.get_template(template).and_then(|template| template.render(context)).context(rendering)?;
        Ok((path.to_owned(), text))
    }
}
