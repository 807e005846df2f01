//! The IDX format: a magic number, a size per dimension, then bytes, all numbers big-endian.
//!
//! Defined at the end of <http://yann.lecun.com/exdb/mnist/>. Files may be packed with gzip (`.gz`); offsets in error
//! texts count unpacked bytes.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Well above the largest file of this family (EMNIST, 550 MB), well below what would bring a machine down.
const MAX_BYTES: u64 = 1 << 31;

/// Reads a file of bytes in `DIMS` dimensions: their sizes, none of them 0, and the bytes.
///
/// Memory grows with what the file delivers, never with what its header claims.
pub(super) fn read<const DIMS: usize>(path: &Path) -> Result<([usize; DIMS], Vec<u8>)> {
    let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
    if path.extension().is_some_and(|e| e == "gz") {
        parse(path, MultiGzDecoder::new(io::BufReader::new(file)))
    } else {
        parse(path, file)
    }
}

pub(crate) fn parse<const DIMS: usize>(path: &Path, mut source: impl Read) -> Result<([usize; DIMS], Vec<u8>)> {
    let start = 4 + 4 * DIMS;
    let header = fetch(path, &mut source, start as u64)?;
    let field = |i: usize| header.get(4 * i..4 * i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));

    // Type 8 (unsigned byte) and the number of dimensions.
    let expected = 0x0800 + DIMS as u32;
    if let Some(magic) = field(0).filter(|&magic| magic != expected) {
        return Err(Error::format(
            path,
            format!(
                "magic number 0x{magic:08x} at offset 0, expected 0x{expected:08x} (bytes in {DIMS} dimensions); \
                 this is another kind of file: check its name, or download it again"
            ),
        ));
    }
    let mut sizes = [0; DIMS];
    for (i, size) in sizes.iter_mut().enumerate() {
        let Some(value) = field(i + 1) else { return Err(truncated(path, start as u64, header.len())) };
        if value == 0 {
            return Err(Error::format(
                path,
                format!("size 0 of dimension {i} at offset {}: the file holds no data; download it again", 4 * i + 4),
            ));
        }
        *size = value as usize;
    }

    let length = sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64));
    let Some(length) = length.filter(|&length| length <= MAX_BYTES) else {
        return Err(Error::format(
            path,
            format!("sizes {sizes:?} at offset 4 make more than {MAX_BYTES} bytes: the header is damaged"),
        ));
    };
    let bytes = fetch(path, &mut source, length + 1)?;
    let total = start as u64 + length;
    match bytes.len() as u64 {
        found if found < length => Err(truncated(path, total, start + bytes.len())),
        found if found > length => Err(Error::format(
            path,
            format!("more bytes follow at offset {total}, where sizes {sizes:?} say that it ends; download it again"),
        )),
        _ => Ok((sizes, bytes)),
    }
}

/// Up to `limit` bytes, fewer at the end of the file.
fn fetch(path: &Path, source: &mut impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match source.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // These kinds come from the unpacking, not from the system.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof) => {
            Err(Error::format(path, format!("its gzip data is damaged or cut off ({e}); download it again")))
        }
        Err(e) => Err(Error::io(path, "read", e)),
    }
}

fn truncated(path: &Path, expected: u64, found: usize) -> Error {
    Error::format(path, format!("expected {expected} bytes, but it ends at offset {found}; download it again"))
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
