//! The zip archive: `NAME/data.pkl`, a storage in each `NAME/data/KEY`, and `NAME/byteorder`.
//!
//! `rawzip` finds the entries; it allocates nothing by what they claim. Entries are stored as they are: a packed one is
//! refused, so that no archive unpacks to more than its own size.

use super::pickle::Pickle;
use super::views::{Storages, tensors};
use crate::io::TensorFile;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};
use std::collections::BTreeMap;

pub(super) fn read(bytes: &[u8]) -> Result<TensorFile, String> {
    let mut archive = Archive::open(bytes)?;
    let pickle = Pickle::read(archive.entry("data.pkl")?).map_err(|what| format!("data.pkl: {what}"))?;
    tensors(&pickle, &mut archive, bytes.len())
}

/// An entry of the directory.
struct Entry {
    wayfinder: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    crc: u32,
}

struct Archive<'a> {
    archive: ZipSliceArchive<&'a [u8]>,
    entries: BTreeMap<String, Entry>,
    /// The name of the folder in which everything is.
    folder: String,
    /// Bytes that have not been read; entries that overlap would be more than there are.
    left: usize,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = |error: rawzip::Error| format!("the zip archive is damaged or cut off ({error})");
        let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
        let mut entries = BTreeMap::new();
        let mut directory = archive.entries();
        while let Some(entry) = directory.next_entry().map_err(damaged)? {
            let name = str::from_utf8(entry.file_path().as_bytes()).map_err(|_| "an entry's name is no text")?;
            let found = Entry { wayfinder: entry.wayfinder(), method: entry.compression_method(), crc: entry.crc32() };
            if entries.insert(name.to_string(), found).is_some() {
                return Err(format!("the archive has two entries {name:.200}"));
            }
        }
        if entries.len() as u64 != archive.entries_hint() {
            return Err("the zip archive is damaged: its directory is not as long as its end says".into());
        }
        let folder = entries.keys().find_map(|name| name.strip_suffix("data.pkl"));
        let folder = folder.ok_or("the zip archive has no data.pkl: torch.save did not write it")?.to_string();
        if entries.contains_key(&format!("{folder}constants.pkl")) {
            return Err("this is a program (TorchScript), not a file of weights".into());
        }
        let mut archive = Self { archive, entries, folder, left: bytes.len() };
        // Only since PyTorch 2.1.
        if archive.entries.contains_key(&format!("{}byteorder", archive.folder)) {
            let order = archive.entry("byteorder")?;
            if order != b"little" {
                return Err("its numbers are big-endian: load and save it on a little-endian machine".into());
            }
        }
        Ok(archive)
    }

    fn entry(&mut self, name: &str) -> Result<&'a [u8], String> {
        let name = format!("{}{name}", self.folder);
        let missing = || format!("the archive has no entry {name:.200}");
        let Entry { wayfinder, method, crc } = self.entries.get(&name).ok_or_else(missing)?;
        if *method != CompressionMethod::STORE {
            return Err(format!("entry {name:.200} is packed ({method}), which torch.save never does: save it again"));
        }
        let bytes = self.archive.get_ref();
        let entry = self.archive.get_entry(*wayfinder);
        let entry = entry.map_err(|error| format!("entry {name:.200} is damaged or cut off ({error})"))?;
        let (from, to) = entry.compressed_data_range();
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let data = range.and_then(|(from, to)| bytes.get(from..to));
        let data = data.filter(|data| data.len() as u64 == wayfinder.uncompressed_size_hint());
        let data = data.ok_or_else(|| format!("entry {name:.200} is damaged or cut off"))?;
        self.left = self.left.checked_sub(data.len()).ok_or("entries of the archive overlap")?;
        // PyTorch can be told not to compute checksums; it writes 0 then.
        if *crc != 0 && rawzip::crc32(data) != *crc {
            return Err(format!("entry {name:.200} is damaged: its checksum is wrong"));
        }
        Ok(data)
    }
}

impl<'a> Storages<'a> for Archive<'a> {
    fn storage(&mut self, key: &str) -> Result<&'a [u8], String> {
        self.entry(&format!("data/{key}"))
    }
}
