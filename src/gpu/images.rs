//! Images of the memory of buffers, for Mesa's driver for processors.
//!
//! llvmpipe reads images several times as fast as storage buffers (`kernels/images.rs`). To it, both are plain memory, an
//! image its rows one after the other; so a buffer and any number of images can lie at one place. wgpu cannot make such,
//! but takes what Vulkan made.
//!
//! wgpu knows nothing of what they share, and puts no barriers between a kernel that writes the buffer and one that reads
//! the image. This driver needs none: a dispatch is over before the next begins. On other drivers images are not used.

#[cfg(target_os = "linux")]
mod vulkan;

use super::environment;
use super::pipelines::MOST_BINDINGS;
use crate::kernels::IMAGE_ROW;

#[cfg(target_os = "linux")]
pub use vulkan::{Shared, supported};

/// The formats that images have, with the bytes of a texel.
pub const FORMATS: [(wgpu::TextureFormat, u64); 6] = [
    (wgpu::TextureFormat::R32Float, 4),
    (wgpu::TextureFormat::Rg32Float, 8),
    (wgpu::TextureFormat::Rgba32Float, 16),
    (wgpu::TextureFormat::R32Uint, 4),
    (wgpu::TextureFormat::Rg32Uint, 8),
    (wgpu::TextureFormat::Rgba32Uint, 16),
];

/// Whether an adapter reads images of buffers' memory, and faster than these; `WGRAD_IMAGES=0` says that none does.
pub fn offered(info: &wgpu::AdapterInfo, limits: &wgpu::Limits) -> bool {
    let wanted = environment("WGRAD_IMAGES").is_none_or(|value| value != "0");
    let known = cfg!(target_os = "linux") && info.backend == wgpu::Backend::Vulkan && info.driver == "llvmpipe";
    let rows = limits.max_storage_buffer_binding_size / u64::from(4 * IMAGE_ROW) + 1;
    let bindings = 2 * MOST_BINDINGS as u32;
    let fits = u64::from(limits.max_texture_dimension_2d) >= rows.max(IMAGE_ROW.into())
        && limits.max_storage_textures_per_shader_stage >= bindings;
    wanted && known && fits
}

/// The format of this name in WGSL, if images have it.
pub fn format(name: &str) -> Option<wgpu::TextureFormat> {
    let named = |format: &wgpu::TextureFormat| format!("{format:?}").eq_ignore_ascii_case(name);
    FORMATS.iter().map(|(format, _)| *format).find(named)
}

/// There is no such driver here.
#[cfg(not(target_os = "linux"))]
pub fn supported(_: &wgpu::Device, _: &wgpu::AdapterInfo) -> bool {
    false
}

/// Memory of which there are a buffer and images: here there is none.
#[cfg(not(target_os = "linux"))]
pub enum Shared {}

#[cfg(not(target_os = "linux"))]
impl Shared {
    pub fn new(_: &super::Gpu, _: &wgpu::BufferDescriptor) -> Option<(wgpu::Buffer, std::sync::Arc<Self>)> {
        None
    }

    pub fn image(
        self: &std::sync::Arc<Self>,
        _: &super::Gpu,
        _: u64,
        _: u64,
        _: wgpu::TextureFormat,
    ) -> Option<wgpu::TextureView> {
        match **self {}
    }
}
