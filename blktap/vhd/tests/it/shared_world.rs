//! A storage manager, its hosts and guests, on storage that the hosts share; and the rules by which it goes about images.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use testkit::shared_storage::{HostDisk, Kind, Storage, Volume, Way};
use uuid::Uuid;
use vhd::coalesce::Coalesce;
use vhd::create::{self, Request};
use vhd::footer::{Footer, RawFooter};
use vhd::header::{BlockSize, Header, RawHeader};
use vhd::parent_name::ParentName;
use vhd::plan::Step;
use vhd::relink::{self, Until};
use vhd::repair::{Repair, Source};
use vhd::{Disk, Image, Medium, ParentLink, Timestamp, edit};

pub(crate) const HOSTS: usize = 3;
pub(crate) const SECTOR: usize = 512;
pub(crate) const BLOCK_SECTORS: usize = 8;
pub(crate) const SECTORS: usize = 48 * BLOCK_SECTORS;
/// What volumes are whole numbers of.
const EXTENT: usize = 4096;
/// A volume with room for tables, a footer and all blocks, whose data begins on pages, with a bitmap in front.
const FULL: usize = (2 * SECTORS / BLOCK_SECTORS + 4) * EXTENT;

/// How programs go about images. Where any of this is different, something is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) kind: Kind,
    /// Disks of guests.
    pub(crate) disks: Way,
    /// Tools that write to images that nobody else writes to.
    pub(crate) tools: Way,
    /// Those that write to what a guest may be writing to.
    pub(crate) relink: Way,
    /// Whether a pause closes the disk.
    pub(crate) closes: bool,
}

/// After how many steps a tool dies before it may live, and whether its host does too.
pub(crate) type Kills = Vec<(usize, bool)>;

/// xorshift.
#[derive(Clone, Debug)]
struct Random(Rc<Cell<u64>>);

impl Random {
    fn below(&self, end: usize) -> usize {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        usize::try_from(state >> 16).unwrap() % end
    }
}

/// A guest and its disk.
pub(crate) struct Guest {
    name: String,
    host: usize,
    pub(crate) disk: Option<Disk<HostDisk>>,
    /// Disks by host that should have been closed.
    kept: BTreeMap<usize, Disk<HostDisk>>,
    /// Byte by sector.
    pub(crate) oracle: Vec<u8>,
    turn: u8,
}

impl Guest {
    pub(crate) fn write(&mut self, first: usize, sectors: usize) {
        let Some(disk) = &mut self.disk else { return };
        self.turn = self.turn % 250 + 1;
        disk.write_at((first * SECTOR) as u64, &vec![self.turn; sectors * SECTOR]).unwrap();
        self.oracle[first..first + sectors].fill(self.turn);
    }

    pub(crate) fn read(&self, first: usize, sectors: usize) {
        let Some(disk) = &self.disk else { return };
        let mut bytes = vec![0x99; sectors * SECTOR];
        disk.read_at((first * SECTOR) as u64, &mut bytes).unwrap();
        for (sector, bytes) in (first..).zip(bytes.chunks(SECTOR)) {
            let (found, expected) = (bytes[0], self.oracle[sector]);
            assert!(
                bytes.iter().all(|&byte| byte == expected),
                "{}: sector {sector}: {found}, not {expected}",
                self.name
            );
        }
    }

    fn stirs(&mut self, random: &Random) {
        let (first, sectors) = (random.below(SECTORS), 1 + random.below(2 * BLOCK_SECTORS));
        let sectors = sectors.min(SECTORS - first);
        self.read(first, sectors);
        if random.below(4) == 0 {
            self.write(first, sectors);
        }
    }
}

pub(crate) type Guests = Rc<RefCell<Vec<Guest>>>;

pub(crate) struct World {
    rules: Rules,
    pub(crate) storage: Storage,
    names: BTreeMap<String, Volume>,
    /// By child.
    pub(crate) parents: BTreeMap<String, String>,
    pub(crate) guests: Guests,
    random: Random,
    /// Images made so far.
    pub(crate) made: u32,
}

impl World {
    pub(crate) fn new(rules: Rules, seed: u64) -> Self {
        let mut world = World {
            rules,
            storage: Storage::new(rules.kind),
            names: BTreeMap::new(),
            parents: BTreeMap::new(),
            guests: Guests::default(),
            random: Random(Rc::new(Cell::new(seed | 1))),
            made: 0,
        };
        world.create("leaf-0", None, 0);
        world.guests.borrow_mut().push(world.guest("leaf-0", vec![0; SECTORS]));
        world.start(0, 0);
        world
    }

    pub(crate) fn guest(&self, name: &str, oracle: Vec<u8>) -> Guest {
        Guest { name: name.into(), host: 0, disk: None, kept: BTreeMap::new(), oracle, turn: 0 }
    }

    /// Opens an image for a tool; guests go on between its steps.
    fn tool(&self, name: &str, host: usize, way: Way) -> HostDisk {
        let (guests, random) = (Rc::clone(&self.guests), self.random.clone());
        let hook = move || guests.borrow_mut().iter_mut().for_each(|guest| guest.stirs(&random));
        self.storage.open(self.names[name], host, way).between(Rc::new(hook))
    }

    fn tool_image(&self, name: &str, host: usize) -> Image<HostDisk> {
        Image::on(self.tool(name, host, self.rules.tools)).unwrap()
    }

    fn link(&self, parent: &str, host: usize) -> ParentLink {
        ParentLink {
            uuid: self.tool_image(parent, host).footer().uuid,
            timestamp: Timestamp(1),
            name: ParentName::encode(parent).unwrap(),
            path: format!("./{parent}").into(),
            key_hash: None,
        }
    }

    /// A new image, with small blocks.
    fn create(&mut self, name: &str, parent: Option<&str>, host: usize) {
        self.made += 1;
        let volume = self.storage.create(FULL);
        self.names.insert(name.into(), volume);
        let storage = create::Storage::Dynamic { max_bytes: Some(256 << 20) };
        let size_bytes = (SECTORS * SECTOR) as u64;
        let request = Request { storage, size_bytes, uuid: Uuid::from_u128(self.made.into()), timestamp: Timestamp(1) };
        let file = self.tool(name, host, self.rules.tools);
        let plan = match parent {
            Some(parent) => create::plan_child(&request, &self.link(parent, host), file.target()),
            None => create::plan(&request, file.target()),
        };
        let mut plan = plan.unwrap();
        for step in &mut plan.steps {
            match step {
                Step::Write { what: "header", bytes, .. } => {
                    let header = Header::try_from(&RawHeader::from_prefix(bytes)).unwrap();
                    let block_size = BlockSize::try_from(u32::try_from(BLOCK_SECTORS * SECTOR).unwrap()).unwrap();
                    *bytes = RawHeader::from(&Header { block_size, ..header }).bytes().to_vec();
                }
                Step::Write { what: "footer" | "footer copy", bytes, .. } => {
                    let footer = Footer::try_from(&RawFooter::from_prefix(bytes)).unwrap();
                    *bytes = RawFooter::from(&Footer { current_bytes: size_bytes, ..footer }).bytes().to_vec();
                }
                _ => {}
            }
        }
        file.perform(&plan).unwrap();
        file.flush().unwrap();
        if let Some(parent) = parent {
            self.parents.insert(name.into(), parent.into());
        }
    }

    /// Opens a chain as tapdisk does: it goes where the images say.
    fn open(&self, leaf: &str, host: usize) -> Disk<HostDisk> {
        let open = |name: &str| Image::on(self.storage.open(self.names[name], host, self.rules.disks)).unwrap();
        let mut images = vec![open(leaf)];
        while let Some(child) = images.last().filter(|image| image.has_parent()) {
            let header = child.header().unwrap();
            let parent = header.parent_name.decode().unwrap();
            assert!(self.names.contains_key(&parent), "{leaf} leads to {parent}, which is gone");
            let parent = open(&parent);
            assert_eq!(parent.footer().uuid, header.parent_uuid);
            images.push(parent);
        }
        let leaf = images.remove(0);
        Disk::of(leaf, images, None).unwrap()
    }

    pub(crate) fn start(&self, guest: usize, host: usize) {
        let (name, kept) = {
            let guest = &mut self.guests.borrow_mut()[guest];
            (guest.name.clone(), guest.kept.remove(&host))
        };
        let disk = kept.unwrap_or_else(|| self.open(&name, host));
        let guest = &mut self.guests.borrow_mut()[guest];
        (guest.host, guest.disk) = (host, Some(disk));
        guest.read(0, SECTORS);
    }

    /// Closes the disk; where the guest runs.
    pub(crate) fn stop(&self, guest: usize) -> usize {
        let guest = &mut self.guests.borrow_mut()[guest];
        let disk = guest.disk.take().unwrap();
        match self.rules.closes {
            true => disk.close().unwrap(),
            false => {
                disk.flush().unwrap();
                guest.kept.insert(guest.host, disk);
            }
        }
        guest.host
    }

    pub(crate) fn name(&self, guest: usize) -> String {
        self.guests.borrow()[guest].name.clone()
    }

    pub(crate) fn children(&self, parent: &str) -> Vec<String> {
        self.parents.iter().filter(|(_, it)| *it == parent).map(|(child, _)| child.clone()).collect()
    }

    /// Makes a volume as short as its image.
    fn deflate(&self, name: &str, host: usize) {
        if self.rules.kind == Kind::Files {
            return;
        }
        let image = self.tool_image(name, host);
        let len = usize::try_from(image.physical_bytes().unwrap()).unwrap().next_multiple_of(EXTENT);
        if len < self.storage.len(self.names[name]) {
            edit::set_physical_size(&image, len as u64).unwrap();
            self.storage.set_len(self.names[name], len);
        }
    }

    /// Makes it as long as it can be.
    fn inflate(&self, name: &str, host: usize) {
        if self.rules.kind == Kind::Files || self.storage.len(self.names[name]) == FULL {
            return;
        }
        self.storage.set_len(self.names[name], FULL);
        self.tool(name, host, Way::Direct).write_all_at(&[0; SECTOR], (FULL - SECTOR) as u64).unwrap();
        edit::set_physical_size(&self.tool_image(name, host), FULL as u64).unwrap();
    }

    fn hide(&self, name: &str, host: usize, hidden: u8) {
        edit::set_hidden(&self.tool_image(name, host), hidden).unwrap();
    }

    /// The leaf becomes a base; a child of it takes its name, and the clone, if there is one, is another.
    pub(crate) fn snapshot(&mut self, guest: usize, host: usize, clone: Option<&str>) {
        let (leaf, base) = (self.name(guest), format!("base-{}", self.made));
        let at = self.stop(guest);
        let volume = self.names.remove(&leaf).unwrap();
        self.names.insert(base.clone(), volume);
        if let Some(below) = self.parents.remove(&leaf) {
            self.parents.insert(base.clone(), below);
        }
        self.deflate(&base, host);
        for name in [Some(leaf.as_str()), clone].into_iter().flatten() {
            self.create(name, Some(&base), host);
        }
        self.hide(&base, host, 1);
        self.start(guest, at);
    }

    /// Does what a tool does until it is not killed, each time on another host. `None` is a tool that lives.
    fn until_done(&self, host: usize, kills: &Kills, mut tool: impl FnMut(usize, Option<usize>) -> vhd::Result<()>) {
        let lives = kills.iter().map(|&(steps, crashes)| (Some(steps), crashes)).chain([(None, false)]);
        for (host, (steps, crashes)) in (host..).zip(lives) {
            let done = tool(host % HOSTS, steps);
            match (done, steps) {
                (Ok(()), _) => return,
                (Err(error), None) => panic!("{error}"),
                (Err(_), Some(_)) if crashes => self.storage.crash(host % HOSTS, || self.random.below(2) == 0),
                (Err(_), Some(_)) => {}
            }
        }
    }

    fn merge(&self, child: &str, parent: &str, host: usize, kills: &Kills) {
        let mut is_first = true;
        self.until_done(host, kills, |host, steps| {
            self.inflate(parent, host);
            if !std::mem::take(&mut is_first) {
                Repair::on(self.tool(parent, host, self.rules.tools), Source::Any).unwrap().write().unwrap();
            }
            let onto = Image::on(self.tool(parent, host, self.rules.tools).dying(steps)).unwrap();
            let done = Coalesce::of(self.tool_image(child, host), onto).unwrap().run(|_, _| ());
            done.map(drop)
        });
    }

    /// An image goes into its only parent, whose only child it is; its own children get that one.
    pub(crate) fn coalesce(&mut self, image: &str, host: usize, kills: &Kills) {
        let parent = self.parents[image].clone();
        self.merge(image, &parent, host, kills);
        self.deflate(&parent, host);
        for child in self.children(image) {
            let link = self.link(&parent, host);
            self.until_done(host, kills, |host, steps| {
                let image = Image::on(self.tool(&child, host, self.rules.relink).dying(steps)).unwrap();
                relink::apply(&image, &link, Until::End)
            });
            self.parents.insert(child, parent.clone());
        }
        for guest in self.guests_over(&parent) {
            let at = self.stop(guest);
            self.start(guest, at);
        }
        self.remove(image);
    }

    fn guests_over(&self, image: &str) -> Vec<usize> {
        let has = |name: &str| {
            let chain = std::iter::successors(Some(name), |name| self.parents.get(*name).map(String::as_str));
            chain.into_iter().any(|name| name == image)
        };
        (0..self.guests.borrow().len()).filter(|&guest| has(&self.name(guest))).collect()
    }

    /// The leaf of a guest that waits goes into its parent, which takes its name.
    pub(crate) fn coalesce_leaf(&mut self, guest: usize, host: usize, kills: &Kills) {
        let leaf = self.name(guest);
        let Some(parent) = self.parents.get(&leaf).cloned() else { return };
        if self.children(&parent).len() > 1 {
            return;
        }
        let at = self.stop(guest);
        self.merge(&leaf, &parent, host, kills);
        self.remove(&leaf);
        let volume = self.names.remove(&parent).unwrap();
        self.names.insert(leaf.clone(), volume);
        if let Some(below) = self.parents.remove(&parent) {
            self.parents.insert(leaf.clone(), below);
        }
        self.hide(&leaf, host, 0);
        self.start(guest, at);
    }

    fn remove(&mut self, name: &str) {
        self.storage.remove(self.names.remove(name).unwrap());
        self.parents.remove(name);
    }

    /// With its disk, and what only that needed.
    pub(crate) fn destroy(&mut self, guest: usize) {
        self.stop(guest);
        let mut name = self.guests.borrow_mut().remove(guest).name;
        loop {
            let parent = self.parents.get(&name).cloned();
            self.remove(&name);
            match parent.filter(|parent| self.children(parent).is_empty()) {
                Some(parent) => name = parent,
                None => return,
            }
        }
    }
}
