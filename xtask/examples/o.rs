use std::time::Instant;
use xtask::{definition::*, layout::Layout, origin::*, process::Cancel};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let layout = Layout { root: (&a[1]).into(), store: format!("{}/store", a[1]).into() };
    std::fs::create_dir_all(&layout.root).unwrap();
    let text = std::fs::read_to_string(&a[2]).unwrap();
    let origins: std::collections::BTreeMap<Name, Origin> = toml::from_str(&text).unwrap();
    let (m, cancel) = ("m".parse().unwrap(), Cancel::default());
    let ctx = Fetching {
        layout: &layout,
        manifest: &m,
        offline: false,
        discard: false,
        cancel: &cancel,
        say: &|l| eprintln!("  {l}"),
    };
    for (name, origin) in &origins {
        let t = Instant::now();
        let pin = match resolve(&ctx, name, origin, None) {
            Ok(p) => p.unwrap(),
            Err(e) => {
                println!("{name}: {}", e.report());
                continue;
            }
        };
        let t1 = t.elapsed();
        let t = Instant::now();
        match fetch(&ctx, name, origin, Some(&pin)) {
            Ok(c) => {
                println!("{name} {c:?} resolve {t1:?} fetch {:?}\n{}", t.elapsed(), toml::to_string(&pin).unwrap())
            }
            Err(e) => println!("{name}: {}", e.report()),
        }
        let t = Instant::now();
        println!("{:?} {:?}", state(&layout, name, origin, Some(&pin)).unwrap(), t.elapsed());
    }
}
