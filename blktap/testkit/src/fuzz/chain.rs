//! Images in a directory that name each other as parents: whatever is asked of such a chain ends. Input: what is common,
//! acts, lengths of the images but the last, images.

use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::{Arbitrary, Unstructured};
use vhd::check::Options;
use vhd::coalesce::Coalesce;
use vhd::create::{Request, Storage};
use vhd::footer::{Footer, RawFooter};
use vhd::header::{Header, RawHeader};
use vhd::relink::{Until, relink};
use vhd::repair::{Repair, Source};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Gate, Image, ImageFile, MAX_CHAIN_DEPTH, Medium, Timestamp, chain};

use super::input::{How, cut};
use super::sound;

/// Images of the directory; the last one may also be a raw file.
const NAMES: [&str; 4] = ["a.vhd", "b.vhd", "c.vhd", "d.vhd"];
const MAX_ACTS: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    /// By image: its parent, so that it is found and is the right one; above 3 the image stays as it is.
    parents: [u8; NAMES.len()],
    acts: Vec<(u8, u8)>,
    lens: [u16; NAMES.len() - 1],
    images: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut images: Vec<Vec<u8>> = cut(input.images, &input.lens).into_iter().map(|i| input.how.bytes(i)).collect();
    for (child, &parent) in input.parents.iter().enumerate().filter(|(_, parent)| usize::from(**parent) < NAMES.len()) {
        link(&mut images, child, parent.into());
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, image) in NAMES.iter().zip(&images).filter(|(_, image)| !image.is_empty()) {
        fs::write(directory.path().join(name), image).unwrap();
    }
    let bench = Bench { gate: Gate::within([directory.path()]).unwrap(), directory: directory.path().to_owned() };
    for name in NAMES {
        bench.ask(&bench.path(name));
    }
    let paths: Vec<PathBuf> = NAMES.iter().map(|name| bench.path(name)).collect();
    super::cli::runs("scan -a -p", &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    for &(act, value) in input.acts.iter().take(MAX_ACTS) {
        bench.does(act, usize::from(value) % NAMES.len(), usize::from(value >> 4) % NAMES.len());
    }
}

/// Makes one image the parent of another: its identity in the header, its name where the first locator's path is.
fn link(images: &mut [Vec<u8>], child: usize, parent: usize) -> Option<()> {
    let uuid = RawFooter::from_prefix(images[parent].get(images[parent].len().checked_sub(512)?..)?).fields().uuid;
    let image = &mut images[child];
    let footer = Footer::try_from(&RawFooter::from_prefix(image.get(image.len().checked_sub(512)?..)?)).ok()?;
    let at = usize::try_from(footer.data_offset).ok()?;
    let mut header = Header::try_from(&RawHeader::from_prefix(image.get(at..)?.get(..1024)?)).ok()?;
    header.parent_uuid = uuid;
    let path = format!("file://./{}", NAMES[parent]);
    let (code, room) = (header.locators[0].code, usize::try_from(header.locators[0].offset).ok()?);
    if code == vhd::locator::PlatformCode::MacX && room >= at + 1024 && room + 1024 <= image.len() {
        header.locators[0].len_bytes = u32::try_from(path.len()).ok()?;
        image[room..][..path.len()].copy_from_slice(path.as_bytes());
    }
    image[at..][..1024].copy_from_slice(RawHeader::from(&header).bytes());
    Some(())
}

/// The directory, and a gate that keeps parents in it: a fuzzer writes, also paths.
struct Bench {
    directory: PathBuf,
    gate: Gate,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn open(&self, path: &Path) -> Option<Image> {
        sound(Image::open_through(path, &self.gate))
    }

    /// Asks what `query`, `scan` and `check` ask.
    fn ask(&self, path: &Path) {
        let Some(image) = self.open(path) else { return };
        drop((sound(image.physical_bytes()), sound(image.marker()), sound(chain::stored_parent(&image))));
        if let Some(Some(parent)) = sound(chain::parent(&image)) {
            assert!(parent.path().is_absolute() && parent.path().exists());
        }
        let depth = sound(chain::depth_of(image));
        assert!(depth.is_none_or(|depth| depth <= MAX_CHAIN_DEPTH));
        drop(sound(vhd::check::check(path, &Options::default())));
        if let Some(image) = self.open(path)
            && let Some(disk) = sound(Disk::on(image))
        {
            assert!(disk.images().count() <= NAMES.len(), "no image is in a chain twice");
            let mut bytes = vec![0; usize::try_from(disk.size_bytes().min(64 << 10)).unwrap()];
            // Damaged blocks are errors of the disk.
            drop(disk.read_at(0, &mut bytes));
        }
    }

    fn does(&self, act: u8, first: usize, second: usize) {
        let (path, other) = (self.path(NAMES[first]), self.path(NAMES[second]));
        let done = match act % 7 {
            0 => self.write(&path),
            1 => self.coalesce(&path),
            2 => Image::open_rw(&path).and_then(|image| relink(&image, &Base::vhd(&other)?, Until::End)),
            3 => Base::not_empty(&other).and_then(|base| self.snapshot(&path, &base)),
            4 => Base::raw(&other).and_then(|base| self.snapshot(&path, &base)),
            5 => self.repair(&path, if second == 0 { Source::Any } else { Source::Backup }),
            _ => Image::open_rw(&path).and_then(|image| relink(&image, &Base::raw(&other)?, Until::End)),
        };
        if let Err(error) = done {
            // Damaged blocks are errors of the disk, and of a job EINVAL.
            assert!(![5, 11].contains(&error.job_errno()), "{error:?}");
        }
        self.ask(&path);
    }

    fn write(&self, path: &Path) -> vhd::Result<()> {
        let mut disk = Disk::open_rw(path)?;
        let size = disk.size_bytes();
        for at in [0, 4096, size / 1024 * 512, size.saturating_sub(512) / 512 * 512] {
            disk.write_at(at, &[7; 512])?;
            let mut found = [0; 512];
            disk.read_at(at, &mut found)?;
            assert_eq!(found, [7; 512]);
        }
        disk.flush()
    }

    fn coalesce(&self, path: &Path) -> vhd::Result<()> {
        let open = || Image::open_through(path, &self.gate);
        let Some(parent) = chain::parent(&open()?)? else { return Ok(()) };
        let read = || {
            let disk = Disk::on(open()?)?;
            let mut bytes = vec![0; usize::try_from(disk.size_bytes().min(64 << 10)).unwrap()];
            disk.read_at(0, &mut bytes).map(|()| bytes)
        };
        let before = read();
        Coalesce::open(open()?, &parent)?.run(|_, _| ())?;
        if let Ok(before) = before {
            assert!(read()? == before, "the child reads as before");
        }
        Ok(())
    }

    fn snapshot(&self, path: &Path, base: &Base) -> vhd::Result<()> {
        let request = Request {
            storage: Storage::Dynamic { max_bytes: None },
            size_bytes: base.size_bytes(),
            uuid: uuid::Uuid::from_u128(9),
            timestamp: Timestamp(9),
        };
        snapshot::create(path, &request, base)?;
        assert!(Image::open(path)?.has_parent());
        Ok(())
    }

    fn repair(&self, path: &Path, source: Source) -> vhd::Result<()> {
        let repair = Repair::open(path, source)?;
        let before = Image::open(path).ok().map(|image| (image.footer().uuid, image.bat().ok()));
        repair.write()?;
        let image = Image::open(path)?;
        let file = ImageFile::open(path)?;
        let primary = file.read("footer", file.len_bytes() - 512, 512)?;
        assert_eq!(RawFooter::from_prefix(&primary), *image.raw_footer(), "the primary footer counts");
        if source == Source::Any {
            assert_eq!(before, Some((image.footer().uuid, image.bat().ok())));
        }
        Ok(())
    }
}
