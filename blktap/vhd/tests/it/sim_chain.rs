//! Chains of images on simulated disks, with blocks and sizes of their own, and the bytes that they must read.

use proptest::prelude::*;
use vhd::header::BlockSize;
use vhd::{Disk, Geometry, Image};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header};
use crate::sim_disk::SimDisk;

pub(crate) const SECTOR: usize = 512;

/// An image of a chain, and what is written to it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) block_sectors: u32,
    pub(crate) sectors: usize,
    /// First sector and how many; what is past the end is cut off.
    pub(crate) writes: Vec<(usize, usize)>,
}

pub(crate) fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let writes = prop::collection::vec((0..200usize, 1..20usize), 0..8);
    let layer = (prop_oneof![Just(8u32), Just(16), Just(64)], 50..200usize, writes);
    let layer = layer.prop_map(|(block_sectors, sectors, writes)| Layer { block_sectors, sectors, writes });
    prop::collection::vec(layer, 1..6)
}

fn image(layer: &Layer, is_child: bool) -> Image<SimDisk> {
    let mut image = match is_child {
        true => child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES),
        false => dynamic(64),
    };
    edit_header(&mut image, |header| {
        header.block_size = BlockSize::try_from(layer.block_sectors * 512).unwrap();
    });
    edit_footers(&mut image, |footer| {
        footer.current_bytes = (layer.sectors * SECTOR) as u64;
        footer.geometry = Geometry::for_size(footer.current_bytes);
    });
    Image::on(SimDisk::file(image)).unwrap()
}

/// The disk of a chain, base first, and the bytes that it must read.
pub(crate) fn build(layers: &[Layer], base: Option<usize>) -> (Disk<SimDisk>, Vec<u8>) {
    let base_bytes = base.map(|bytes| vec![0xba; bytes]);
    let mut oracle = base_bytes.clone().unwrap_or_default();
    let mut images: Vec<SimDisk> = vec![];
    let mut disk = None;
    for (number, layer) in layers.iter().enumerate() {
        let leaf = image(layer, base.is_some() || !images.is_empty());
        let file = leaf.file().clone();
        let parents = images.iter().rev().map(|file| Image::on(file.clone()).unwrap()).collect();
        let mut made = Disk::of(leaf, parents, base_bytes.clone().map(SimDisk::file)).unwrap();
        oracle.resize(layer.sectors * SECTOR, 0);
        for (step, &(first, sectors)) in layer.writes.iter().enumerate() {
            let (first, end) = (first.min(layer.sectors), (first + sectors).min(layer.sectors));
            let value = u8::try_from(number * 16 + step + 1).unwrap();
            made.write_at((first * SECTOR) as u64, &vec![value; (end - first) * SECTOR]).unwrap();
            oracle[first * SECTOR..end * SECTOR].fill(value);
        }
        made.flush().unwrap();
        images.push(file);
        disk = Some(made);
    }
    (disk.unwrap(), oracle)
}
