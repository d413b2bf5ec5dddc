//! A fetch in a process of its own, for tests that kill it, run two of them, or give it another environment.

use std::process::{Child, Command, Output, Stdio};

use xtask::definition::{Origin, Pin};

use super::world::World;

const TOLD: &str = "XTASK_TEST_FETCH";

/// What the child does.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    root: String,
    store: String,
    origin: String,
    pin: Option<Pin>,
    /// Resolve instead of fetch.
    resolve: bool,
    discard: bool,
}

/// The child of `world` that fetches (with a pin) or resolves (without) `origin`, written as a manifest has it.
pub fn command(world: &World, origin: &str, pin: Option<&Pin>) -> Command {
    let told = Told {
        root: world.layout.root.display().to_string(),
        store: world.layout.store.display().to_string(),
        origin: origin.to_owned(),
        pin: pin.cloned(),
        resolve: pin.is_none(),
        discard: world.discard,
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["origin::child::fetches_as_it_is_told", "--exact", "--nocapture"]);
    command
        .env(TOLD, toml::to_string(&told).unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a finished child printed between its marks.
pub fn result(output: &Output) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let between = |mark: &str| {
        let (_, rest) = text.split_once(&format!("<{mark}>\n"))?;
        rest.split_once(&format!("\n</{mark}>")).map(|(inside, _)| inside.to_owned())
    };
    match (between("ok"), between("error")) {
        (Some(ok), _) => Ok(ok),
        (None, Some(error)) => Err(error),
        (None, None) => panic!("the child said {text} {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Kills a child as `kill -9` does and waits for its end.
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What other tests run as a process of their own; by itself it tests that they can.
#[test]
fn fetches_as_it_is_told() {
    let Ok(told) = std::env::var(TOLD) else {
        let world = World::new();
        let upstream = super::git::Upstream::new(world.path("up"));
        upstream.commit("a", "one\n");
        let text = format!("git = {{ urls = [{:?}], branch = \"main\" }}", upstream.url());
        let pin: Pin = toml::from_str(&result(&command(&world, &text, None).output().unwrap()).unwrap()).unwrap();
        assert_eq!(result(&command(&world, &text, Some(&pin)).output().unwrap()), Ok("Already".into()));
        assert!(result(&command(&world, "path = { dir = \"nowhere\" }", Some(&pin)).output().unwrap()).is_err());
        return;
    };
    let told: Told = toml::from_str(&told).unwrap();
    let mut world = World::new();
    world.layout.root = told.root.into();
    world.layout.store = told.store.into();
    world.discard = told.discard;
    let origin: Origin = super::world::origin(&told.origin);
    let result = if told.resolve {
        world.resolve(&origin, None).map(|pin| toml::to_string(&pin).unwrap())
    } else {
        world.fetch(&origin, told.pin.as_ref()).map(|done| format!("{done:?}"))
    };
    for line in world.said() {
        println!("said: {line}");
    }
    match result {
        Ok(text) => println!("<ok>\n{text}\n</ok>"),
        Err(error) => println!("<error>\n{}\n</error>", error.report()),
    }
}
